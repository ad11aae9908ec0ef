// What the user orders beside a search: similar code, jobs.
import * as vscode from "vscode";

import { placeOf, rangeOf, snippet, withDefaults } from "./present";
import * as protocol from "./protocol";
import type { Ask, Results } from "./results";
import type { Server } from "./server";

/** Find code like the selection, or like the function around the cursor if `whole` or nothing is selected. */
export async function findSimilar(server: Server, results: Results, whole: boolean): Promise<void> {
    const editor = vscode.window.activeTextEditor;
    if (!editor) {
        throw new Error("Open a file and put the cursor into some code first.");
    }
    server.check();
    const { document, selection } = editor;
    const range = whole ? new vscode.Range(selection.active, selection.active) : selection;
    const selected = range.isEmpty ? "" : snippet(document, range);
    const params: protocol.FindSimilarParams = {
        textDocument: { uri: document.uri.toString() },
        range: { start: range.start, end: range.end },
        languageId: document.languageId,
    };
    const ask: Ask = (token) => server.request(protocol.FIND_SIMILAR, withDefaults(params), token);
    await results.ask(ask, (result) => {
        const origin = selected ? undefined : result.origin;
        const name = origin?.name ?? `selection of line ${range.start.line + 1}`;
        const title = origin ? `Like ${name} (${placeOf(origin)})` : `Like the ${name}`;
        const text = origin ? snippet(document, document.validateRange(rangeOf(origin.targetRange))) : selected;
        return { title, result, example: { name, text } };
    });
}

/** Ask where, then order a job. The server shows its progress and says how it ended. */
export async function order(server: Server, kind: protocol.JobFinished["kind"]): Promise<void> {
    server.check();
    const address = vscode.workspace.getConfiguration("sextant").get("clusterAddress", "").trim();
    const places = [
        { label: "$(vm) Here", detail: "In the server's own process, in the background", on: "inline" },
        { label: "$(server-process) Local Ray", detail: "In Ray workers on this machine: for heavy encoders", on: "local" },
        { label: "$(server-environment) Cluster", detail: `In the Ray cluster at ${address}`, on: address },
    ];
    const title = kind === "tune" ? "Sextant: Tune Model to This Repository" : "Sextant: Reindex";
    const place = await vscode.window.showQuickPick(places.filter(({ on }) => on), { title, placeHolder: "Where should it run?" });
    const folders = vscode.workspace.workspaceFolders ?? [];
    const folder = place && folders.length > 1 ? await vscode.window.showWorkspaceFolderPick() : folders[0];
    if (place && folder) {
        const type: typeof protocol.REINDEX = kind === "tune" ? protocol.TUNE : protocol.REINDEX;
        await server.request(type, { folder: folder.uri.toString(), on: place.on, scope: "all" });
    }
}
