// What the server is doing: one language status item, and all details on demand.
import * as vscode from "vscode";

import * as protocol from "./protocol";
import { messageOf, type Server } from "./server";

const WATCHED = 500; // ms between two looks while files are being indexed
const PHASES = { idle: "no folder is open", starting: "starting", missing: "server not found", failed: "not running" };
const SEVERITIES = { ok: "Information", warning: "Warning", error: "Error" } as const;
const ICONS = { opening: "sync", indexing: "sync", ready: "pass", degraded: "warning" };

export class Status {
    private readonly item = vscode.languages.createLanguageStatusItem("sextant.status", "*");
    private timer: NodeJS.Timeout | undefined;
    private turn = 0;

    constructor(
        private readonly server: Server,
        context: vscode.ExtensionContext,
    ) {
        this.item.name = "Sextant";
        this.item.command = { command: "sextant.showIndexStatus", title: "Details" };
        context.subscriptions.push(this.item, { dispose: () => clearTimeout(this.timer) });
        server.onDidChange(() => void this.refresh());
    }

    /** Show what is indexed, what is not and why, with what can be done. */
    async details(): Promise<void> {
        if (!(await this.server.ready())) {
            return;
        }
        const status = await this.ask();
        if (typeof status === "string") {
            void vscode.window.showErrorMessage(`Sextant: ${status}`);
            return;
        }
        const folders = status.folders.map((folder) => ({
            label: `$(${ICONS[folder.state]}) ${nameOf(folder)}: ${folder.state}`,
            description:
                `${functions([folder])} in ${count(folder.files)} files` +
                (folder.skippedFiles ? `, ${count(folder.skippedFiles)} skipped` : "") +
                (folder.pendingFiles ? `, ${count(folder.pendingFiles)} waiting` : ""),
            detail: folder.message ?? languagesOf(folder),
            command: "",
        }));
        const memory = `${Math.round(status.residentBytes / 1e6)} MB of memory`;
        const description = `model ${status.encoder.slice(0, 12)} · neighbours ${status.backend} · ${memory}`;
        const reindex = { label: "$(sync) Reindex…", command: "sextant.reindexWorkspace" };
        const chosen = await vscode.window.showQuickPick(
            [
                ...folders,
                { label: "$(info) Engine", description, command: "" },
                { label: "", kind: vscode.QuickPickItemKind.Separator, command: "" },
                { label: "$(search) Search Code by Meaning", command: "sextant.searchCode" },
                ...(this.server.offers(protocol.REINDEX) ? [reindex] : []),
                { label: "$(debug-restart) Restart Server", command: "sextant.restartServer" },
                { label: "$(output) Show Log", command: "sextant.showLog" },
            ],
            { title: "Sextant: Index Status" },
        );
        await (chosen?.command && vscode.commands.executeCommand(chosen.command));
    }

    private async refresh(): Promise<void> {
        const turn = ++this.turn;
        clearTimeout(this.timer);
        const { phase, health } = this.server;
        if (phase.name !== "running") {
            const reason = "reason" in phase ? phase.reason : "";
            this.say(PHASES[phase.name], reason, reason ? "error" : "ok", phase.name === "starting");
            return;
        }
        const status = await this.ask();
        if (turn !== this.turn) {
            return;
        }
        if (typeof status === "string") {
            this.say("no index", status, "error");
            return;
        }
        const { folders } = status;
        const troubles = folders.filter((folder) => folder.state === "degraded").map((each) => each.message ?? nameOf(each));
        const worst = troubles.length && health?.health !== "error" ? "warning" : (health?.health ?? "ok");
        const detail = troubles.join("; ") || (health?.message ?? "");
        if (folders.some((folder) => folder.state === "opening" || folder.state === "indexing")) {
            this.say(`indexing ${percent(folders)} %`, detail || `${functions(folders)} so far`, worst, true);
            this.timer = setTimeout(() => void this.refresh(), WATCHED);
        } else {
            this.say(`${worst === "ok" ? "ready" : "degraded"}: ${functions(folders)}`, detail, worst);
        }
    }

    /** Return the status, or why there is none. */
    private ask(): Promise<protocol.IndexStatus | string> {
        return this.server.request(protocol.INDEX_STATUS).catch(messageOf);
    }

    private say(text: string, detail: string, health: keyof typeof SEVERITIES, busy = false): void {
        const severity = vscode.LanguageStatusSeverity[SEVERITIES[health]];
        Object.assign(this.item, { text: `Sextant: ${text}`, detail, severity, busy });
    }
}

function percent(folders: protocol.FolderStatus[]): number {
    const done = folders.reduce((sum, folder) => sum + folder.files, 0);
    const waiting = folders.reduce((sum, folder) => sum + folder.pendingFiles, 0);
    return Math.floor((100 * done) / (done + waiting || 1));
}

function functions(folders: protocol.FolderStatus[]): string {
    return `${count(folders.reduce((sum, folder) => sum + folder.units, 0))} functions`;
}

function count(value: number): string {
    return value.toLocaleString("en-US");
}

function nameOf(folder: protocol.FolderStatus): string {
    const uri = vscode.Uri.parse(folder.uri);
    return vscode.workspace.getWorkspaceFolder(uri)?.name ?? uri.fsPath;
}

function languagesOf(folder: protocol.FolderStatus): string {
    const languages = Object.entries(folder.languages).sort(([, one], [, other]) => other - one);
    return languages.map(([language, files]) => `${language} ${count(files)}`).join(" · ");
}
