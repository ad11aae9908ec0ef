// Registers what the extension contributes.
import * as vscode from "vscode";

import { findSimilar, order } from "./commands";
import { Preview } from "./preview";
import { Results } from "./results";
import { Search } from "./search";
import { Server } from "./server";
import { Status } from "./status";

let server: Server | undefined;

export function activate(context: vscode.ExtensionContext): void {
    const log = vscode.window.createOutputChannel("Sextant", { log: true });
    const started = (server = new Server(context, log));
    const results = new Results(context);
    const search = new Search(started, results, new Preview(), context.workspaceState);
    const status = new Status(started, context);
    const commands: Record<string, (argument?: never) => unknown> = {
        searchCode: (asked?: { query?: string }) => search.show(asked?.query),
        pinResults: () => search.pin(),
        openToSide: () => search.accept(true),
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
        compareResult: (node: Parameters<Results["diff"]>[0]) => results.diff(node),
    };
    for (const [name, run] of Object.entries(commands)) {
        const guarded = (argument: never): Promise<unknown> =>
            Promise.resolve(argument).then(run).catch((error: unknown) => started.tell(error));
        context.subscriptions.push(vscode.commands.registerCommand(`sextant.${name}`, guarded));
    }
    context.subscriptions.push(log);
    void started.restart();
}

export const deactivate = (): Promise<void> | undefined => server?.stop();
