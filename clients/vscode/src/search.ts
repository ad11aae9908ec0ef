// Search as you type: a quick pick whose items come from the server.
import * as vscode from "vscode";

import type { Preview } from "./preview";
import { bar, iconOf, messageOf, placeOf, withDefaults } from "./present";
import * as protocol from "./protocol";
import type { Ask, Results } from "./results";
import type { Server } from "./server";

const DEBOUNCE = 80; // ms after the last key; a search takes less than that
const PREVIEW_DELAY = 120; // ms that an item stays active before its file is opened
const HISTORY = "sextant.history";
const HISTORY_LENGTH = 30;
const ASIDE = { iconPath: new vscode.ThemeIcon("split-horizontal"), tooltip: "Open to the Side (Ctrl+Enter)" };
const PIN = { iconPath: new vscode.ThemeIcon("pin"), tooltip: "Keep These Results in the Side Bar (Alt+Enter)" };

interface Item extends vscode.QuickPickItem {
    hit?: protocol.Hit;
    /** What the query becomes when the item is chosen. */
    query?: string;
}

export class Search {
    private readonly pick = vscode.window.createQuickPick<Item>();
    private asking = new vscode.CancellationTokenSource();
    private typing: NodeJS.Timeout | undefined;
    private previewing: NodeJS.Timeout | undefined;
    /** What the list answers. */
    private listed = "";
    /** Whether there is more to find than is shown. */
    private isIncomplete = false;

    constructor(
        private readonly server: Server,
        private readonly results: Results,
        private readonly preview: Preview,
        private readonly memory: vscode.Memento,
    ) {
        const { pick } = this;
        // The order is the server's. The published types lack the property.
        (pick as { sortByLabel?: boolean }).sortByLabel = false;
        pick.title = "Sextant: Search Code by Meaning";
        pick.placeholder = "What does the code do? Words, code or a name; lang: kind: path: filter";
        pick.buttons = [PIN];
        pick.onDidChangeValue((value) => this.typed(value));
        pick.onDidChangeActive(([item]) => this.look(item?.hit));
        pick.onDidAccept(() => void this.accept());
        pick.onDidTriggerButton(() => vscode.commands.executeCommand("sextant.pinResults"));
        pick.onDidTriggerItemButton(({ item }) => void this.accept(true, item));
        pick.onDidHide(() => this.close());
        // What was asked while files or the server were missing is asked again once they are there.
        server.onDidChange(() => this.isIncomplete && server.health?.quiescent && this.search(pick.value));
    }

    show(query = ""): void {
        this.server.check();
        this.preview.remember();
        this.pick.value = query;
        this.typed(query);
        this.pick.show();
        void vscode.commands.executeCommand("setContext", "sextant.searching", true);
    }

    /** Move the list into the results view. It is asked for again: what is shown may be what was found at once. */
    async pin(): Promise<void> {
        const query = this.pick.value;
        if (query.trim()) {
            this.remember();
            this.stop();
            await this.preview.back(); // it moves the focus, too
            this.pick.hide();
            const ask: Ask = (token) => this.server.request(protocol.SEARCH, withDefaults({ query }), token);
            await this.results.ask(ask, (result) => ({ title: query, result }));
        }
    }

    private typed(value: string): void {
        this.stop();
        this.typing = setTimeout(() => void this.search(value), value ? DEBOUNCE : 0);
    }

    private async search(query: string): Promise<void> {
        this.stop();
        const { token } = (this.asking = new vscode.CancellationTokenSource());
        const take = (result: protocol.SearchResult): unknown =>
            token.isCancellationRequested || this.present(query, result);
        const failed = (error: unknown): void => {
            if (!token.isCancellationRequested) {
                this.isIncomplete = true;
                this.fill([entry("warning", messageOf(error))]);
            }
        };
        this.pick.busy = true;
        const params = withDefaults({ query, complete: true });
        await this.server.request(protocol.SEARCH, params, token, take).then(take, failed);
        this.pick.busy = token.isCancellationRequested;
    }

    private present(query: string, result: protocol.SearchResult): void {
        const filters = (result.completions ?? []).map((each) =>
            entry("filter", each.label, { query: each.query, description: each.detail ?? "" }),
        );
        const isSame = this.listed === query;
        this.listed = query;
        this.isIncomplete = result.isIncomplete;
        if (result.completions && result.hits.length === 0) {
            const asked = query.trim() ? [] : this.memory.get<string[]>(HISTORY, []);
            const history = asked.map((label) => entry("history", label, { query: label }));
            this.fill([...under("asked before", history), ...under("filters", filters)]);
        } else {
            const hits = result.hits.map((hit) => ({
                label: `$(${iconOf(hit)}) ${hit.name}`,
                description: [hit.containerName, placeOf(hit)].filter(Boolean).join(" · "),
                detail: `${bar(hit, result)} ${hit.score.toFixed(2)}  ${hit.detail ?? hit.signature ?? ""}`,
                buttons: [ASIDE],
                alwaysShow: true,
                hit,
            }));
            const notices = result.notices?.map((notice) => entry("info", notice)) ?? [];
            this.fill([...notices, ...hits, ...under("filters", filters)], isSame);
        }
    }

    private fill(items: readonly Item[], isSameQuestion = false): void {
        // A better list of the same question does not move the user away from a hit.
        const [active] = this.pick.activeItems;
        const isChosen = isSameQuestion && active !== this.pick.items.find(({ hit }) => hit);
        this.pick.items = items;
        const hits = items.filter(({ hit }) => hit);
        const first = hits.find(({ description }) => isChosen && description === active?.description) ?? hits[0];
        if (first) {
            this.pick.activeItems = [first];
        }
    }

    private look(hit: protocol.Hit | undefined): void {
        clearTimeout(this.previewing);
        // That a file is gone is said when it is opened.
        this.previewing = hit && setTimeout(() => void this.preview.show(hit).catch(() => undefined), PREVIEW_DELAY);
    }

    /** Take an item; a hit is opened here or to the side of where the user was. */
    async accept(aside = false, item = this.pick.activeItems[0]): Promise<void> {
        if (this.listed !== this.pick.value) {
            return; // typed faster than answered: the item belongs to other words
        }
        if (item?.query !== undefined) {
            this.pick.value = item.query;
            this.typed(item.query);
        } else if (item?.hit) {
            this.remember();
            this.stop();
            const opening = this.preview.open(item.hit, aside); // first, so that hiding leads nowhere
            this.pick.hide();
            const text = `${placeOf(item.hit)} cannot be opened. It may have been moved or deleted: search again.`;
            await opening.catch(() => vscode.window.showErrorMessage(text));
        }
    }

    private close(): void {
        this.stop();
        void vscode.commands.executeCommand("setContext", "sextant.searching", false);
        void this.preview.back();
    }

    private stop(): void {
        this.isIncomplete = false;
        this.asking.cancel();
        clearTimeout(this.typing);
        clearTimeout(this.previewing);
    }

    private remember(): void {
        const asked = new Set([this.pick.value, ...this.memory.get<string[]>(HISTORY, [])]);
        void this.memory.update(HISTORY, [...asked].slice(0, HISTORY_LENGTH));
    }
}

function entry(name: string, label: string, more: Partial<Item> = {}): Item {
    return { label, iconPath: new vscode.ThemeIcon(name), alwaysShow: true, ...more };
}

function under(label: string, items: Item[]): Item[] {
    return items.length ? [{ label, kind: vscode.QuickPickItemKind.Separator }, ...items] : [];
}
