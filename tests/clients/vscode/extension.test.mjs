// What a user does with the extension, done in the real editor on real code: a part of Python's standard library.
import assert from "node:assert/strict";
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, afterEach, before, test } from "node:test";

import { Editor, LIMIT, until } from "./editor.mjs";

const HOME = process.env.SEXTANT_TEST_HOME;
const SERVER = process.env.SEXTANT_TEST_SERVER;
const LIBRARY = process.env.SEXTANT_TEST_LIBRARY;
const REPOSITORY = process.env.SEXTANT_TEST_REPOSITORY;
const WORKSPACE = join(HOME, "small");
const SEARCH = "Sextant: Search Code by Meaning";
const RESULTS = "#workbench\\.view\\.extension\\.sextant";

let editor;
let page;

before(async () => {
    for (const name of ["tempfile.py", "shutil.py", "textwrap.py", "http", "email"]) {
        cpSync(join(LIBRARY, name), join(WORKSPACE, name), { recursive: true });
    }
    editor = await Editor.start({
        home: HOME,
        vsix: process.env.SEXTANT_TEST_VSIX,
        env: { SEXTANT_DATA_DIR: join(HOME, "index"), PATH: `${HOME}/bin:/usr/bin:/bin` },
    });
    page = editor.page;
    trace();
    await editor.open(WORKSPACE);
    await ready();
});

after(() => editor?.stop());

afterEach(async (context) => {
    if (!context.passed) {
        await editor.shot(`failed ${context.name}`);
        // The next test shall find what it would have found: a new window, a server, no message, nothing unsaved.
        await recover().catch((error) => context.diagnostic(`the editor did not recover: ${error.message}`));
    }
});

test("a question in the palette finds, previews and opens code", async () => {
    const question = "create a temporary directory and remove it afterwards";
    await editor.file("textwrap.py", 5);
    const row = await ask(question, "TemporaryDirectory");
    assert.match(await row.innerText(), /tempfile\.py:\d+/);
    assert.match(await row.innerText(), /[▰▱]{5} 0\.\d\d/);
    const line = lineOf("tempfile.py", /^class TemporaryDirectory/);
    await moveTo("TemporaryDirectory");
    await until("the hit is previewed", async () => (await editor.activeTab()) === "tempfile.py" && (await editor.cursor()).line === line);
    await until("its words are highlighted", async () => (await page.locator(".view-overlays [class*=TextEditorDecorationType]").count()) > 1);
    await editor.shot("search");

    await page.keyboard.press("Escape");
    await until("Escape leads back", async () => (await editor.activeTab()) === "textwrap.py" && (await editor.cursor()).line === 5);
    await until("the preview is closed", async () => (await page.locator('.tab[data-resource-name="tempfile.py"]').count()) === 0);

    await ask(question, "TemporaryDirectory");
    await moveTo("TemporaryDirectory");
    await page.keyboard.press("Enter");
    await until("the name is selected", async () => {
        const cursor = await editor.cursor();
        return (await editor.activeTab()) === "tempfile.py" && cursor.line === line && cursor.selected === "TemporaryDirectory".length;
    });
});

test("a hit opens to the side of where the user was", async () => {
    const line = lineOf("tempfile.py", /^def mkdtemp/);
    const button = async () => {
        const row = editor.rows().filter({ hasText: "mkdtemp" }).first();
        await row.hover();
        await row.locator('[aria-label^="Open to the Side"]').click();
    };
    for (const open of [() => page.keyboard.press("Control+Enter"), button]) {
        await editor.file("textwrap.py", 5);
        await ask("create a temporary directory", "mkdtemp");
        await until("the hit is previewed", async () => {
            await moveTo("mkdtemp");
            return (await editor.activeTab()) === "tempfile.py" && (await editor.cursor()).line === line;
        });
        await open();
        await until("it is open beside", async () => {
            const tabs = page.locator(".editor-group-container .tab.active");
            const names = await tabs.evaluateAll((all) => all.map((each) => each.dataset.resourceName));
            return names.join() === "textwrap.py,tempfile.py" && (await editor.activeTab()) === "tempfile.py" && (await editor.cursor()).line === line;
        });
        await editor.command("View: Close All Editors");
    }
    await editor.file("textwrap.py");
});

test("an empty question offers what was asked before, and filters", async () => {
    await ask("", "create a temporary directory and remove it afterwards");
    await ask("", "lang:");
    await editor.take("method", () => search("parse a header kind:me"));
    await until("the filter is in the query", async () => (await editor.input().inputValue()) === "parse a header kind:method ");
    await until("only methods are found", async () => {
        const rows = editor.rows();
        const [all, methods] = [await rows.count(), await rows.locator(".codicon-symbol-method").count()];
        return all > 2 && all === methods;
    });
    await page.keyboard.press("Escape");
});

test("a filter that makes no sense is explained", async () => {
    await ask("parse a header kind:banana", "there is no kind");
    await ask("parse a header lnag:python", "did you mean lang:python?");
    await ask("qqq zzz xxxxx wwwww vvvvv", /Nothing (matches well|found)/);
    await page.keyboard.press("Escape");
});

test("each key cancels the search before", async () => {
    await search();
    const [pid] = serverPids();
    process.kill(pid, "SIGSTOP"); // a server that is too slow for the typist
    try {
        const asked = count(/Sending request 'sextant\/search/g);
        const cancelled = count(/Sending notification '\$\/cancelRequest'/g);
        await page.keyboard.type("wrap a paragraph");
        await until("a search is under way", () => count(/Sending request 'sextant\/search/g) > asked);
        await editor.input().fill("guess the charset of an email");
        await until("it is cancelled", () => count(/Sending notification '\$\/cancelRequest'/g) > cancelled);
    } finally {
        process.kill(pid, "SIGCONT");
    }
    await until("the answer is that of the last question", async () => /charset/i.test((await editor.rows().allInnerTexts()).slice(0, 3).join()));
    await page.keyboard.press("Escape");
});

test("pinned results are grouped by file, explained, copied and stepped through", async () => {
    await ask("copy a file with its permissions", "shutil.py");
    await page.keyboard.press("Alt+Enter");
    const tree = page.locator(`${RESULTS} .monaco-list-row`);
    await tree.filter({ hasText: "copymode" }).first().waitFor();
    assert.match(await page.locator(RESULTS).innerText(), /copy a file with its permissions: \d+ results\./);
    await page.keyboard.press("ArrowDown");
    await page.locator(`${RESULTS} .monaco-list:focus-within .monaco-list-row.focused`).waitFor();
    const hit = tree.filter({ hasText: "copymode" }).first();
    assert.equal(await hit.getAttribute("aria-level"), "2");
    await hit.locator(".monaco-tl-twistie").click();
    await tree.filter({ hasText: /meaning 0\.\d+ · words/ }).first().waitFor();
    await editor.shot("results");

    const names = [];
    for (let step = 0; step < 2; step++) {
        const before = JSON.stringify([await editor.activeTab(), await editor.cursor()]);
        await page.keyboard.press("F4"); // first in the view, then in the editor
        await until("the next result is open", async () => JSON.stringify([await editor.activeTab(), await editor.cursor()]) !== before);
        names.push(JSON.stringify([await editor.activeTab(), (await editor.cursor()).line]));
    }
    assert.notEqual(names[0], names[1]);
    await editor.command("Sextant: Previous Result");
    await until("the first again", async () => JSON.stringify([await editor.activeTab(), (await editor.cursor()).line]) === names[0]);

    await editor.command("Sextant: Copy Results as Markdown");
    const text = await until("the clipboard is filled", async () => {
        const found = await page.evaluate(() => navigator.clipboard.readText());
        return found.includes("copymode") && found;
    });
    assert.match(text, /^## copy a file with its permissions\n\n- \[`[\w.]+`\]\([\w/]+\.py#L\d+\) 0\.\d\d/);
});

test("what is kept in the results view is asked again", async () => {
    const name = "copy_file_with_its_permissions";
    const tree = page.locator(`${RESULTS} .monaco-list-row`);
    writeFileSync(join(WORKSPACE, "copying.py"), `def ${name}(source, target):\n    """Copy a file with its permissions."""\n`);
    await ask("copy a file with its permissions", name);
    await page.keyboard.press("Escape");
    assert.equal(await tree.filter({ hasText: name }).count(), 0);
    await editor.command("Sextant: Search Again");
    await tree.filter({ hasText: name }).first().waitFor();
    rmSync(join(WORKSPACE, "copying.py"));
});

test("similar code is found from a function and from a selection, and compared", async () => {
    await editor.file("shutil.py", lineOf("shutil.py", /^def copy\(/) + 8);
    await editor.command("Sextant: Find Similar to This Function");
    const tree = page.locator(`${RESULTS} .monaco-list-row`);
    await page.locator(RESULTS, { hasText: /Like copy \(shutil\.py:\d+\): \d+ results/ }).waitFor();
    await tree.filter({ hasText: "copy2" }).first().waitFor();
    await until("the question is not among the answers", async () => (await tree.filter({ hasText: /^copy[▰▱].*Copy data and mode/s }).count()) === 0);

    const line = lineOf("tempfile.py", /^def mkdtemp/);
    await editor.file("tempfile.py", line);
    for (let row = 0; row < 30; row++) {
        await page.keyboard.press("Shift+ArrowDown");
    }
    await until("the lines are selected", async () => (await editor.cursor()).selected > 500);
    await editor.command("Sextant: Find Similar to Selection");
    await page.locator(RESULTS, { hasText: `Like the selection of line ${line}` }).waitFor();
    const hit = tree.filter({ hasText: "mkstemp" }).first();
    await hit.waitFor();
    await hit.hover();
    await hit.locator('[aria-label^="Compare with the Selection"]').click();
    await page.locator(".monaco-diff-editor .editor.modified .view-lines", { hasText: "mkstemp" }).waitFor();
    await page.locator(".monaco-diff-editor .editor.original .view-lines", { hasText: "mkdtemp" }).waitFor();
    await editor.shot("similar");

    await ask("wrap a paragraph", "textwrap.py");
    await until("a hit is previewed", async () => (await editor.activeTab()) === "textwrap.py");
    await page.keyboard.press("Escape");
    await page.locator(".tab.active", { hasText: "↔" }).waitFor();
});

test("an edit is found before it is saved", async () => {
    await editor.file("textwrap.py", 1);
    await page.keyboard.press("Control+End");
    await page.keyboard.type("\ndef water_the_tomatoes(garden):\nreturn garden.sprinkle('tomato plants')\n", { delay: 5 });
    await until("the file is dirty", async () => (await page.locator(".tab.active.dirty").count()) === 1);
    await ask("water tomato plants in the garden", "water_the_tomatoes");
    assert.doesNotMatch(readFileSync(join(WORKSPACE, "textwrap.py"), "utf8"), /tomato/);
    await page.keyboard.press("Escape");
    await editor.command("File: Revert File");
    await until("the edit is gone", async () => (await page.locator(".tab.active.dirty").count()) === 0);
});

test("a server that dies is started again, and can be restarted", async () => {
    const killed = [];
    const another = () => serverPids().find((pid) => !killed.includes(pid));
    for (const state of ["runs", "starts"]) {
        killed.push(another());
        process.kill(killed.at(-1), "SIGKILL");
        await until(`another server runs in the place of one that was killed while it ${state}`, another);
    }
    // Asked at once, while it is still starting.
    await ask("wrap a paragraph", "textwrap.py");
    await page.keyboard.press("Escape");
    await ready();
    killed.push(another());
    await editor.command("Sextant: Restart Server");
    await until("one more server runs", () => another() && serverPids().length === 1);
    await ready();
});

test("a server whose death shows in what is written to it first is started again", async () => {
    // A race when it is killed while the user types. This one does not die: it only closes its end.
    const deaf = join(HOME, "deaf");
    const answer = { capabilities: { textDocumentSync: 2, experimental: { sextant: { methods: ["sextant/search"] } } } };
    const lines = [
        `#!${join(dirname(SERVER), "python")}`,
        "import json, os, sys, time",
        `if os.path.exists("${deaf}.pid"):`,
        `    os.execv("${SERVER}", ["${SERVER}", "serve"])`,
        "def read():",
        "    length = int(sys.stdin.buffer.readline().split()[1])",
        "    return json.loads(sys.stdin.buffer.read(length + 2))",
        `answer = {"jsonrpc": "2.0", "id": read()["id"], "result": json.loads('${JSON.stringify(answer)}')}`,
        "body = json.dumps(answer)",
        'print(f"Content-Length: {len(body)}\\r\\n\\r\\n{body}", end="", flush=True)',
        "read()",
        "os.close(0)",
        `with open("${deaf}.pid", "w") as file:`,
        "    file.write(str(os.getpid()))",
        "time.sleep(600)",
    ];
    writeFileSync(deaf, `${lines.join("\n")}\n`, { mode: 0o755 });
    trace({ "sextant.server.path": deaf });
    await until("it runs and is deaf", () => existsSync(`${deaf}.pid`) && readFileSync(`${deaf}.pid`, "utf8"));
    await ask("wrap a paragraph", "textwrap.py");
    await page.keyboard.press("Escape");
    const pid = readFileSync(`${deaf}.pid`, "utf8");
    await until("it is ended", () => !existsSync(`/proc/${pid}`) || serverPids().includes(Number(pid)));
    trace();
    await ready();
});

test("a server that hangs is ended by a restart", async () => {
    const [pid] = serverPids();
    process.kill(pid, "SIGSTOP");
    await editor.command("Sextant: Restart Server");
    await until("another one runs alone", () => serverPids().length === 1 && serverPids()[0] !== pid);
    await ask("wrap a paragraph", "textwrap.py");
    await page.keyboard.press("Escape");
});

test("each step of the walkthrough leads where it says", async () => {
    const step = (name) => page.locator(`.getting-started-step[data-step-id$="#${name}"]`);
    const press = async (name) => {
        const list = () => editor.take("Welcome: Open Walkthrough", () => editor.palette("Welcome: Open Walkthrough"));
        const fill = (timeout) => editor.input().fill("Sextant", { timeout });
        await editor.take("Get Started with Sextant", () => editor.again("walkthroughs are listed", list, fill));
        await step(name).click();
        await step(name).locator(".monaco-button").click();
    };
    await editor.file("textwrap.py", 5);
    await press("search");
    await page.locator('.quick-input-widget:visible input[placeholder^="What does the code do"]').waitFor();
    await editor.shot("walkthrough");
    await page.keyboard.press("Escape");
    await step("search").locator(".complete").waitFor();
    assert.equal(await step("server").count(), 0, "the server runs: nothing is to be set up");

    await press("status");
    await editor.rows().filter({ hasText: "small: ready" }).waitFor();
    await page.keyboard.press("Escape");

    await press("similar");
    await editor.notification("Open a file and put the cursor into some code first.").waitFor();

    trace({ "sextant.server.path": join(HOME, "nothing/sextant") });
    await editor.notification("which is not a program").waitFor();
    await press("server");
    await page.locator('.quick-input-widget:visible', { hasText: "Sextant: Set Up Server" }).waitFor();
    await page.keyboard.press("Escape");
    await editor.command("Notifications: Clear All Notifications");
    trace();
    await until("the server runs", async () => (await step("server").count()) === 0);
    await editor.file("textwrap.py");
    await ready();
});

test("the index status is told in full, and what the server lacks is not offered", async () => {
    const row = await editor.offered("small: ready", () => editor.command("Sextant: Show Index Status"));
    assert.match(await row.innerText(), /[\d,]+ functions and types in \d+ files/);
    await editor.shot("status");
    await page.keyboard.press("Escape");
    const offered = JSON.parse(process.env.SEXTANT_TEST_METHODS);
    await editor.palette("Sextant: ");
    await until("the palette lists", async () => (await editor.rows().count()) > 3);
    for (const [title, method] of [["Reindex…", "sextant/reindex"], ["Tune Model to This Repository…", "sextant/tune"]]) {
        assert.equal(await editor.rows().filter({ hasText: title }).count(), offered.includes(method) ? 1 : 0, title);
    }
    await page.keyboard.press("Escape");
});

test("reindexing here says how it ended", async () => {
    await editor.offered("Local Ray", () => editor.command("Sextant: Reindex…"));
    assert.equal(await editor.rows().count(), 2, "no cluster is offered that is not in the settings");
    forgetVectors();
    await editor.accept("Here");
    await editor.notification(/Sextant: [\d,]+ functions: up to date/).waitFor();
    assert.ok(forgetVectors() > 1000, "what was missing is computed");
});

test("reindexing encodes in a Ray of its own and on the cluster of the settings, and shows its progress", async (context) => {
    if (!process.env.SEXTANT_TEST_CLUSTER) {
        return context.skip("Ray is not installed");
    }
    const [address, token] = process.env.SEXTANT_TEST_CLUSTER.split(" ");
    trace({ "sextant.clusterAddress": address, "sextant.clusterTokenFile": token });
    for (const [place, where] of [["Local Ray", "a local cluster"], ["Cluster", address]]) {
        await editor.offered(place, () => editor.command("Sextant: Reindex…"));
        await editor.input().fill(place);
        forgetVectors();
        await editor.accept(place);
        await editor.notification(/Reindexing: [\d,]+ encoded, \d+\/\d+ files/).waitFor();
        await editor.notification(new RegExp(`functions: 1,\\d{3} encoded on ${where}, the rest known`)).waitFor();
        await editor.shot(`job on ${place}`);
    }
    trace();
});

test("the status follows the indexing of a large workspace", async () => {
    const large = join(HOME, "large");
    for (const name of readdirSync(LIBRARY).filter((each) => /^([a-m].*|textwrap)\.py$/.test(each))) {
        cpSync(join(LIBRARY, name), join(large, name));
    }
    await editor.open(large);
    await editor.file("textwrap.py");
    const seen = [];
    await until(
        "the index is ready",
        async () => {
            seen.push(await status());
            return /ready: [\d,]+ functions/.test(seen.at(-1));
        },
        3 * LIMIT,
    );
    assert.ok(seen.some((text) => /indexing \d+ %/.test(text)), `seen: ${[...new Set(seen)].join(" | ")}`);
});

test("all folders of a workspace are searched", async () => {
    const file = join(HOME, "both.code-workspace");
    mkdirSync(join(HOME, "other"), { recursive: true });
    writeFileSync(join(HOME, "other/garden.py"), 'def prune_roses(bushes):\n    """Cut the roses back in spring."""\n    return [bush.cut() for bush in bushes]\n');
    writeFileSync(file, JSON.stringify({ folders: [{ path: WORKSPACE }, { path: join(HOME, "other") }] }));
    await editor.open(file);
    await editor.file("garden.py");
    await ready();
    await ask("cut roses back", "prune_roses");
    await ask("wrap a paragraph", "textwrap.py");
    await page.keyboard.press("Escape");
});

test("a model is tuned where the user says, and not where there is nothing to learn from", async (context) => {
    if (!JSON.parse(process.env.SEXTANT_TEST_METHODS).includes("sextant/tune")) {
        return context.skip("this server has no sextant/tune");
    }
    trace({ "sextant.clusterAddress": "ray://127.0.0.1:1" });
    await editor.offered("ray://127.0.0.1:1", () => editor.command("Sextant: Tune Model to This Repository…"));
    await editor.accept("Here");
    await editor.rows().filter({ hasText: "other" }).first().waitFor();
    await editor.input().fill("other");
    await editor.accept("other");
    await editor.notification(/functions with an English description to learn from.*so the base model stays/).waitFor();
    trace();
});

test("a server that is not there is said to be missing, and set up", async () => {
    // A change of settings starts the search for a server anew, also while one hangs.
    writeFileSync(join(HOME, "hangs"), "#!/bin/sh\nexec sleep 300\n", { mode: 0o755 });
    trace({ "sextant.server.path": join(HOME, "hangs") });
    await until("it is started", async () => /server starting/.test(await status()));
    trace({ "sextant.server.path": join(HOME, "nothing/sextant") });
    const message = editor.notification("which is not a program");
    await message.waitFor();
    assert.match(await message.innerText(), /Set Up Server…/);
    await editor.shot("missing");

    writeFileSync(join(HOME, "babbles"), "#!/bin/sh\nexec yes\n", { mode: 0o755 });
    trace({ "sextant.server.path": join(HOME, "babbles") });
    const babbling = editor.notification("does not start as Sextant's server");
    await babbling.waitFor();
    assert.match(await babbling.innerText(), /Restart Server/);
    assert.ok(count(/no message begins with "y/g), "the log says why");

    trace({ "sextant.server.path": "", "sextant.server.package": join(HOME, "no-checkout") });
    await editor.notification("The server was not found").getByText("Set Up Server…").click();
    await until("what to install is asked", async () => (await editor.input().inputValue()) === join(HOME, "no-checkout"));
    await page.keyboard.press("Enter");
    const failure = editor.notification("could not be set up. pip does not find that");
    await failure.waitFor();
    await editor.shot("setup-failed");

    await failure.getByText("Set Up Server…").click();
    await editor.input().fill(REPOSITORY);
    await page.keyboard.press("Enter");
    await editor.notification("installing, a minute or two").waitFor();
    await editor.shot("setup");
    await ready(5 * LIMIT);
    assert.equal(serverPids().length, 1);
    assert.match(readFileSync(`/proc/${serverPids()[0]}/cmdline`, "utf8"), /globalStorage\/sextant\.sextant\/server\/bin/);
    await ask("wrap a paragraph", "textwrap.py");
    await editor.shot("setup-done");
    await page.keyboard.press("Escape");
});

test("an untrusted workspace starts nothing of its own", async () => {
    const trap = join(HOME, "trap");
    const marker = join(HOME, "sprung");
    for (const path of [".venv/bin", ".vscode"]) {
        mkdirSync(join(trap, path), { recursive: true });
    }
    writeFileSync(join(trap, "bait.py"), "def bait():\n    return 1\n");
    writeFileSync(join(trap, ".venv/bin/sextant"), `#!/bin/sh\ntouch ${marker}\n`, { mode: 0o755 });
    writeFileSync(join(trap, ".vscode/settings.json"), JSON.stringify({ "sextant.server.path": join(trap, ".venv/bin/sextant") }));
    rmSync(join(HOME, "data/User/globalStorage/sextant.sextant/server"), { recursive: true });
    trace({ "sextant.server.path": "", "security.workspace.trust.enabled": true });
    await editor.open(trap);
    await editor.notification("it is not trusted").waitFor();
    assert.ok(!existsSync(marker));
    // The same folder, trusted: this shows that the trap works.
    await editor.command("Workspaces: Manage Workspace Trust");
    await page.locator(".workspace-trust-editor").getByRole("button", { name: "Trust", exact: true }).click();
    await until("the trap springs", () => existsSync(marker));
});

/** Write settings under which the extension's log tells each message. */
function trace(more = {}) {
    editor.settings({ "sextant.server.path": SERVER, "sextant.trace.server": "messages", ...more });
}

/** Open the folder again, as a user whom nothing else helps. */
async function recover() {
    serverPids().forEach((pid) => process.kill(pid, "SIGKILL")); // one may be stopped
    trace();
    await editor.open(editor.folder);
    await firstFile().click();
    await ready();
}

/** Open the search with a question. */
function search(question = "") {
    const input = page.locator('.quick-input-widget:visible input[placeholder^="What does the code do"]');
    const fill = (timeout) => input.fill(question, { timeout });
    return editor.again("the search is open", () => editor.command(SEARCH), fill);
}

/** Ask a question and return the first row with the text. */
function ask(question, text) {
    return editor.offered(text, () => search(question));
}

/** Move down the quick pick to the hit of that name. */
async function moveTo(name) {
    let rows = 20;
    const focused = page.locator(".quick-input-widget:visible .monaco-list-row.focused");
    await until("the list is complete", async () => (await page.locator(".quick-input-progress.active").count()) === 0);
    await until("there is an active row", async () => (await focused.count()) === 1);
    const active = async () => (await focused.locator(".label-name").first().innerText()).trim();
    for (let last = await active(); last !== name; last = await active()) {
        assert.ok(rows-- > 0, `${last} is active`);
        // A better list that comes at this moment leads back to its first row: then the key is pressed once more.
        const press = () => page.keyboard.press("ArrowDown");
        const moved = () => until("the next row is active", async () => (await active()) !== last, LIMIT / 20);
        await press();
        await moved().catch(() => press().then(moved));
    }
}

/** The text of the language status item; it stands behind the braces in the status bar. */
async function status() {
    const entry = page.locator("#status\\.languageStatus").first();
    return (await entry.getAttribute("aria-label", { timeout: 1000 }).catch(() => "")) ?? "";
}

/** A file in the explorer. */
function firstFile() {
    return page.locator(".explorer-folders-view .monaco-list-row", { hasText: ".py" }).first();
}

function ready(limit = LIMIT) {
    const check = async () => {
        if (!(await page.locator(".editor-instance").count())) {
            await firstFile().click();
        }
        return /ready: [\d,]+ functions/.test(await status());
    };
    return until("the index is ready", check, limit);
}

function lineOf(file, pattern) {
    return 1 + readFileSync(join(WORKSPACE, file), "utf8").split("\n").findIndex((line) => pattern.test(line));
}

/** How often the extension's log of the newest window says something. */
function count(pattern) {
    const logs = readdirSync(join(HOME, "data/logs"), { recursive: true }).filter((path) => path.endsWith("Sextant.log"));
    return logs.reduce((sum, path) => sum + (readFileSync(join(HOME, "data/logs", path), "utf8").match(pattern) ?? []).length, 0);
}

/** Delete what the encoder has computed, and return how much that was. */
function forgetVectors() {
    const folder = join(HOME, "index/vectors");
    const [file] = readdirSync(folder).filter((name) => name.endsWith(".db"));
    const store = new DatabaseSync(join(folder, file), { timeout: LIMIT });
    const { changes } = store.prepare("DELETE FROM vectors").run();
    store.close();
    return changes;
}

/** The servers that this editor has started. */
function serverPids() {
    const parents = new Map();
    for (const pid of readdirSync("/proc").map(Number).filter(Boolean)) {
        try {
            const [, parent, group] = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1].split(" ").map(Number);
            const command = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
            if (group === editor.process.pid && command.includes("serve") && command.some((word) => word.endsWith("/sextant"))) {
                parents.set(pid, parent);
            }
        } catch {
            // It ended meanwhile.
        }
    }
    // A child that has not yet become another program bears the name of its server.
    return [...parents].filter(([, parent]) => !parents.has(parent)).map(([pid]) => pid);
}
