// What the user orders beside a search: similar code, jobs.
import * as vscode from "vscode";

import { placeOf, rangeOf, snippet } from "./present";
import * as protocol from "./protocol";
import type { Results } from "./results";
import { messageOf, offer, type Server } from "./server";

/** Find code like the selection, or like the function around the cursor if `whole` or nothing is selected. */
export async function findSimilar(server: Server, results: Results, whole: boolean): Promise<void> {
    const editor = vscode.window.activeTextEditor;
    if (!editor) {
        void vscode.window.showInformationMessage("Sextant: put the cursor into some code first.");
    }
    if (!editor || !(await server.ready())) {
        return;
    }
    const { document, selection } = editor;
    const { start, end } = whole ? { start: selection.active, end: selection.active } : selection;
    const selected = start.isEqual(end) ? "" : snippet(document, new vscode.Range(start, end));
    const params: protocol.FindSimilarParams = {
        textDocument: { uri: document.uri.toString() },
        range: { start, end },
        languageId: document.languageId,
        limit: vscode.workspace.getConfiguration("sextant").get("search.limit", 30),
        explain: true,
    };
    const ask = (token: vscode.CancellationToken): Promise<protocol.SearchResult> =>
        server.request(protocol.FIND_SIMILAR, params, token);
    await results.ask("finding similar code", ask, (result) => {
        const origin = selected ? undefined : result.origin;
        const name = origin?.name ?? `selection of line ${start.line + 1}`;
        const text = origin ? snippet(document, document.validateRange(rangeOf(origin.targetRange))) : selected;
        return { title: `Like ${origin ? `${name} (${placeOf(origin)})` : `the ${name}`}`, result, ask, example: { name, text } };
    });
}

/** Ask where, then order a job. The server shows its progress and says how it ended. */
export async function order(server: Server, kind: protocol.JobFinished["kind"]): Promise<void> {
    if (!(await server.ready())) {
        return;
    }
    const address = vscode.workspace.getConfiguration("sextant").get("clusterAddress", "").trim();
    const cluster = { label: "$(server-environment) Cluster", description: address, detail: "In your Ray cluster", on: address };
    const places = [
        { label: "$(vm) Here", detail: "In the server's own process, in the background", on: "inline" },
        { label: "$(server-process) Local Ray", detail: "In Ray workers on this machine: for heavy encoders", on: "local" },
        ...(address ? [cluster] : []),
    ];
    const title = kind === "tune" ? "Sextant: Tune Model to This Repository" : "Sextant: Reindex";
    const place = await vscode.window.showQuickPick(places, { title, placeHolder: "Where should it run?" });
    const folders = vscode.workspace.workspaceFolders ?? [];
    const folder = place && folders.length > 1 ? await vscode.window.showWorkspaceFolderPick() : folders[0];
    if (place && folder) {
        const params: protocol.TuneParams = { folder: folder.uri.toString(), on: place.on };
        const request =
            kind === "tune"
                ? server.request(protocol.TUNE, params)
                : server.request(protocol.REINDEX, { ...params, scope: "all" });
        await request.catch((error: unknown) => vscode.window.showErrorMessage(`Sextant: ${messageOf(error)}`));
    }
}

/** Say how a job ended. */
export async function announce(job: protocol.JobFinished, log: vscode.LogOutputChannel): Promise<void> {
    const { before, after } = job;
    const isScored = typeof before === "number" && typeof after === "number";
    const scores = isScored ? ` Held-out score: ${before.toFixed(3)} → ${after.toFixed(3)}.` : "";
    const show = job.ok ? vscode.window.showInformationMessage : vscode.window.showWarningMessage;
    await offer(show, `Sextant: ${job.message}${scores}`, job.ok ? {} : { "Show Log": () => log.show() });
}
