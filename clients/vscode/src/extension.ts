// Registers what the extension contributes.
import * as vscode from "vscode";

import { announce, findSimilar, order } from "./commands";
import { Preview } from "./preview";
import { Results } from "./results";
import { Search } from "./search";
import { Server } from "./server";
import { Status } from "./status";

/** The server's own commands, as in its code actions, and how this editor answers them. */
const OWN: Record<string, string> = {
    "sextant.search": "sextant.searchCode",
    "sextant.findSimilar": "sextant.findSimilarToSelection",
    "sextant.status": "sextant.showIndexStatus",
    "sextant.reindex": "sextant.reindexWorkspace",
    "sextant.tune": "sextant.tuneModel",
};
let server: Server | undefined;

export async function activate(context: vscode.ExtensionContext): Promise<void> {
    const log = vscode.window.createOutputChannel("Sextant", { log: true });
    const started = new Server(context, log, (name) => {
        void (OWN[name] && vscode.commands.executeCommand(OWN[name]));
        return name in OWN;
    });
    server = started;
    const results = new Results(context);
    const search = new Search(started, results, new Preview(), context.workspaceState);
    const status = new Status(started, context);
    const commands = {
        searchCode: () => search.show(),
        pinResults: () => search.pin(),
        findSimilarToSelection: () => findSimilar(started, results, false),
        findSimilarToFunction: () => findSimilar(started, results, true),
        reindexWorkspace: () => order(started, "reindex"),
        tuneModel: () => order(started, "tune"),
        showIndexStatus: () => status.details(),
        showLog: () => log.show(),
        restartServer: () => started.restart(),
        setUpServer: () => started.setUp(),
        nextResult: () => results.step(1),
        previousResult: () => results.step(-1),
        copyResults: () => results.copy(),
        repeatSearch: () => results.again(),
        clearResults: () => results.show(),
        compareResult: (node: Parameters<Results["diff"]>[0]) => results.diff(node),
    };
    for (const [name, run] of Object.entries(commands)) {
        context.subscriptions.push(vscode.commands.registerCommand(`sextant.${name}`, run));
    }
    context.subscriptions.push(log, started.onDidFinishJob((job) => void announce(job, log)));
    await started.restart();
    if (started.phase.name === "missing") {
        void started.ready();
    }
}

export async function deactivate(): Promise<void> {
    await server?.stop();
}
