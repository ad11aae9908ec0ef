// Search as you type: a quick pick whose items come from the server.
import * as vscode from "vscode";

import type { Preview } from "./preview";
import { bar, iconOf, placeOf, summary } from "./present";
import * as protocol from "./protocol";
import type { Results } from "./results";
import { messageOf, type Server } from "./server";

const DEBOUNCE = 80; // ms after the last key; a search takes less than that
const PREVIEW_DELAY = 120; // ms that an item stays active before its file is opened
const HISTORY = "sextant.history";
const HISTORY_LENGTH = 30;
const TITLE = "Sextant: Search Code by Meaning";
/** A filter at the end of the query that is still being typed. */
const UNFINISHED = /(?:^|\s)-?(lang|kind|path):(\S*)$/;
const KINDS = "class constant constructor enum function interface method module namespace struct type".split(" ");
const FILTERS = {
    "lang:": "only one language, as in lang:python",
    "kind:": "only methods, classes, …, as in kind:method",
    "path:": "only below a folder, as in path:src/**",
    "-path:": "not there, as in -path:tests",
};
const ASIDE = { iconPath: icon("split-horizontal"), tooltip: "Open to the Side" };
const PIN = { iconPath: icon("pin"), tooltip: "Keep These Results in the Side Bar (Alt+Enter)" };

interface Item extends vscode.QuickPickItem {
    hit?: protocol.Hit;
    /** What the query becomes when the item is chosen. */
    query?: string;
}

type Take = (result: protocol.SearchResult) => void;

export class Search {
    private pick: vscode.QuickPick<Item> | undefined;
    private running: vscode.CancellationTokenSource | undefined;
    private typing: NodeJS.Timeout | undefined;
    private previewing: NodeJS.Timeout | undefined;
    private found: { query: string; result: protocol.SearchResult } | undefined;
    private languages: string[] = [];

    constructor(
        private readonly server: Server,
        private readonly results: Results,
        private readonly preview: Preview,
        private readonly memory: vscode.Memento,
    ) {
        // What was asked while files were missing is asked again once they are there.
        server.onDidChange(() => {
            if (this.found?.result.isIncomplete && server.health?.quiescent) {
                void this.search(this.found.query);
            }
        });
    }

    async show(): Promise<void> {
        if (!(await this.server.ready())) {
            return;
        }
        this.preview.remember();
        const pick = vscode.window.createQuickPick<Item>();
        this.pick = pick;
        // The order is the server's. The published types lack the property.
        (pick as { sortByLabel?: boolean }).sortByLabel = false;
        pick.title = TITLE;
        pick.placeholder = "What does the code do? Words, code or a name; lang: kind: path: filter";
        pick.buttons = [PIN];
        pick.onDidChangeValue((value) => this.typed(value));
        pick.onDidChangeActive(([item]) => this.look(item?.hit));
        pick.onDidAccept(() => void this.accept(pick.activeItems[0]));
        pick.onDidTriggerButton(() => this.pin());
        pick.onDidTriggerItemButton(({ item }) => void this.accept(item, { viewColumn: vscode.ViewColumn.Beside }));
        pick.onDidHide(() => this.close());
        void vscode.commands.executeCommand("setContext", "sextant.searching", true);
        this.typed("");
        pick.show();
        const status = await this.server.request(protocol.INDEX_STATUS).catch(() => undefined);
        this.languages = [...new Set(status?.folders.flatMap((folder) => Object.keys(folder.languages)))].sort();
    }

    /** Move the list into the results view. */
    pin(): void {
        if (this.found) {
            const { query, result } = this.found;
            this.remember();
            this.pick?.hide();
            void this.results.show({ title: query, result, ask: (token) => this.ask(query, token) });
        }
    }

    private typed(value: string): void {
        this.running?.cancel();
        clearTimeout(this.typing);
        clearTimeout(this.previewing);
        const [unfinished, field, typed = ""] = UNFINISHED.exec(value) ?? [];
        if (unfinished !== undefined) {
            const names = field === "lang" ? this.languages : field === "kind" ? KINDS : [];
            const fitting = names.filter((name) => name.startsWith(typed) && name !== typed);
            const head = value.slice(0, value.length - typed.length);
            const items = fitting.map((label) => entry("filter", label, { query: `${head}${label} ` }));
            const isOpen = items.length > 0 || !typed;
            this.typing = isOpen ? undefined : setTimeout(() => void this.search(value), DEBOUNCE);
            this.fill(isOpen ? items : (this.pick?.items ?? []));
        } else if (value.trim()) {
            this.typing = setTimeout(() => void this.search(value), DEBOUNCE);
        } else {
            const history = this.history().map((query) => entry("history", query, { query }));
            const filters = Object.entries(FILTERS).map(([query, description]) => entry("filter", query, { description, query }));
            this.fill([...under("asked before", history), ...under("filters", filters)]);
        }
    }

    private ask(query: string, token: vscode.CancellationToken, onPartial?: Take): Promise<protocol.SearchResult> {
        const limit = vscode.workspace.getConfiguration("sextant").get("search.limit", 30);
        const params: protocol.SearchParams = { query, limit, explain: true };
        return this.server.request(protocol.SEARCH, params, token, onPartial);
    }

    private async search(query: string): Promise<void> {
        const pick = this.pick;
        if (!pick) {
            return;
        }
        this.running?.cancel();
        const { token } = (this.running = new vscode.CancellationTokenSource());
        const take: Take = (result) => {
            if (!token.isCancellationRequested) {
                this.present(pick, query, result);
            }
        };
        pick.busy = true;
        try {
            take(await this.ask(query, token, take));
        } catch (error) {
            if (!token.isCancellationRequested) {
                this.found = undefined;
                this.fill([entry("warning", messageOf(error))]);
            }
        }
        pick.busy = token.isCancellationRequested;
    }

    private present(pick: vscode.QuickPick<Item>, query: string, result: protocol.SearchResult): void {
        const isSame = this.found?.query === query;
        this.found = { query, result };
        pick.title = result.isIncomplete ? `${TITLE} (still indexing: results are incomplete)` : TITLE;
        const items = result.hits.map((hit) => ({
            label: `$(${iconOf(hit)}) ${hit.name}`,
            description: [hit.containerName, placeOf(hit)].filter(Boolean).join(" · "),
            detail: `${bar(hit, result)} ${hit.score.toFixed(2)}  ${summary(hit)}`,
            buttons: [ASIDE],
            alwaysShow: true,
            hit,
        }));
        if (items.length && result.lowConfidence) {
            const detail = "Try to say what the code does, with a verb and a noun, or fewer filters.";
            this.fill([entry("info", "Nothing matches well", { detail }), ...under("weak matches", items)], isSame);
        } else if (items.length) {
            this.fill(items, isSame);
        } else if (result.isIncomplete) {
            this.fill([entry("sync", "Nothing yet", { detail: "Files are still being indexed; the list fills itself." })]);
        } else {
            this.fill([entry("info", "Nothing found", { detail: "Try other words, or fewer filters." })]);
        }
    }

    private fill(items: readonly Item[], isSameQuestion = false): void {
        if (this.pick) {
            // A better list of the same question does not move the user away from a hit.
            const active = this.pick.activeItems[0];
            const hit = active !== this.pick.items.find((item) => item.hit) ? active?.hit : undefined;
            this.pick.items = items;
            const same = items.find((item) => hit && item.hit && placeOf(item.hit) === placeOf(hit));
            if (same && isSameQuestion) {
                this.pick.activeItems = [same];
            }
        }
    }

    private look(hit: protocol.Hit | undefined): void {
        clearTimeout(this.previewing);
        if (hit) {
            // That a file is gone is said when it is opened.
            const log = (error: unknown): void => this.server.log.warn(messageOf(error));
            this.previewing = setTimeout(() => void this.preview.show(hit).catch(log), PREVIEW_DELAY);
        }
    }

    private async accept(item: Item | undefined, options: vscode.TextDocumentShowOptions = {}): Promise<void> {
        if (item?.hit && this.pick) {
            this.remember();
            const pick = this.pick;
            this.pick = undefined; // so that hiding leads nowhere
            pick.hide();
            try {
                await this.preview.open(item.hit, options);
            } catch (error) {
                void vscode.window.showErrorMessage(`${placeOf(item.hit)} cannot be opened: ${messageOf(error)}`);
            }
        } else if (item?.query !== undefined && this.pick) {
            this.pick.value = item.query;
            this.typed(item.query);
        }
    }

    private close(): void {
        this.running?.cancel();
        clearTimeout(this.typing);
        clearTimeout(this.previewing);
        void vscode.commands.executeCommand("setContext", "sextant.searching", false);
        this.found = undefined;
        if (this.pick) {
            this.pick.dispose();
            this.pick = undefined;
            void this.preview.back();
        }
    }

    private history(): string[] {
        return this.memory.get<string[]>(HISTORY, []);
    }

    private remember(): void {
        const query = this.pick?.value ?? "";
        const others = this.history().filter((each) => each !== query);
        void this.memory.update(HISTORY, [query, ...others].slice(0, HISTORY_LENGTH));
    }
}

function icon(name: string): vscode.ThemeIcon {
    return new vscode.ThemeIcon(name);
}

function entry(name: string, label: string, more: Partial<Item> = {}): Item {
    return { label, iconPath: icon(name), alwaysShow: true, ...more };
}

function under(label: string, items: Item[]): Item[] {
    return items.length ? [{ label, kind: vscode.QuickPickItemKind.Separator }, ...items] : [];
}
