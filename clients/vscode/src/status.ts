// What the server is doing: one language status item, and all details on demand.
import * as vscode from "vscode";

import * as protocol from "./protocol";
import type { Server } from "./server";

const SEVERITIES = { ok: "Information", warning: "Warning", error: "Error" } as const;
const ICONS = { opening: "sync", indexing: "sync", ready: "pass", degraded: "warning" };
const ACTIONS = [
    { label: "$(search) Search Code by Meaning", command: "sextant.searchCode" },
    { label: "$(sync) Reindex…", command: "sextant.reindexWorkspace" },
    { label: "$(debug-restart) Restart Server", command: "sextant.restartServer" },
    { label: "$(output) Show Log", command: "sextant.showLog" },
];

export class Status {
    private readonly item = vscode.languages.createLanguageStatusItem("sextant.status", "*");

    constructor(private readonly server: Server, context: vscode.ExtensionContext) {
        this.item.name = "Sextant";
        this.item.command = { command: "sextant.showIndexStatus", title: "Details" };
        context.subscriptions.push(this.item);
        server.onDidChange(() => this.refresh());
    }

    /** Show what is indexed, what is not and why, with what can be done. */
    async details(): Promise<void> {
        const status = await this.server.request(protocol.INDEX_STATUS);
        const description = `model ${status.encoder.slice(0, 12)} · neighbours ${status.backend} · ${Math.round(status.residentBytes / 1e6)} MB of memory`;
        const rows = [...status.folders.map(row), { label: "$(info) Engine", description, command: "" }, ...ACTIONS];
        const chosen = await vscode.window.showQuickPick(rows, { title: "Sextant: Index Status" });
        await (chosen?.command && vscode.commands.executeCommand(chosen.command));
    }

    private refresh(): void {
        const { phase, reason, health } = this.server;
        const severity = SEVERITIES[health?.health ?? (phase === "missing" || phase === "failed" ? "error" : "ok")];
        Object.assign(this.item, {
            text: `Sextant: ${health?.summary ?? `server ${phase}`}`,
            detail: health?.message ?? reason,
            severity: vscode.LanguageStatusSeverity[severity],
            busy: health ? !health.quiescent : phase === "starting",
        });
    }
}

function row(folder: protocol.FolderStatus): vscode.QuickPickItem & { command: string } {
    const uri = vscode.Uri.parse(folder.uri);
    const name = vscode.workspace.getWorkspaceFolder(uri)?.name ?? uri.fsPath;
    const languages = Object.entries(folder.languages).sort(([, one], [, other]) => other - one);
    return {
        label: `$(${ICONS[folder.state]}) ${name}: ${folder.state}`,
        description: folder.summary ?? "",
        detail: folder.message ?? languages.map(([language, files]) => `${language} ${files}`).join(" · "),
        command: "",
    };
}
