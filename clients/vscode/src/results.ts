// The results view: what was found, grouped by file, for as long as the user needs it.
import { basename, posix } from "node:path";
import * as vscode from "vscode";

import { bar, iconOf, markdown, placeOf, rangeOf, snippet, uriOf, wordsOf } from "./present";
import type { Hit, SearchResult, Term, Why } from "./protocol";

export type Ask = (token: vscode.CancellationToken) => Promise<SearchResult>;

/** What was found, and what for. */
export interface Listing {
    title: string;
    result: SearchResult;
    /** The code that hits are compared with, and what it is called. */
    example?: { text: string; name: string };
}

/** A row of the tree: a file, a hit in it, or why that matched. */
class Node extends vscode.TreeItem {
    readonly children: Node[] = [];
    readonly parent?: Node;
    readonly hit?: Hit;

    constructor(label: string, look: Partial<Node>) {
        super(label);
        Object.assign(this, look);
        this.parent?.children.push(this);
    }
}

const { None, Collapsed, Expanded } = vscode.TreeItemCollapsibleState;
const VIEW = "sextant.results";
const SNIPPETS = "sextant-snippet";

export class Results implements vscode.TreeDataProvider<Node> {
    private readonly changed = new vscode.EventEmitter<undefined>();
    readonly onDidChangeTreeData = this.changed.event;
    readonly getTreeItem = (node: Node): vscode.TreeItem => node;
    readonly getChildren = (node?: Node): Node[] => node?.children ?? this.files;
    readonly getParent = (node: Node): Node | undefined => node.parent;
    private readonly view = vscode.window.createTreeView<Node>(VIEW, { treeDataProvider: this, showCollapseAll: true });
    private asking = new vscode.CancellationTokenSource();
    private listing: Listing | undefined;
    /** Ask the same once more. */
    again: () => Promise<void> = () => Promise.resolve();
    private files: Node[] = [];
    /** What stands on both sides of a comparison. */
    private readonly snippets = new Map<string, string>();

    constructor(context: vscode.ExtensionContext) {
        const provideTextDocumentContent = (uri: vscode.Uri): string | undefined => this.snippets.get(uri.toString());
        const provider = vscode.workspace.registerTextDocumentContentProvider(SNIPPETS, { provideTextDocumentContent });
        context.subscriptions.push(this.view, provider);
    }

    /** Show an answer in place of the one before. */
    private async show(listing: Listing): Promise<void> {
        const { title, result } = (this.listing = listing);
        const focus = this.files.length === 0; // an empty view could not take it before
        const files = new Map<string, Node>();
        for (const hit of result.hits) {
            const file = files.get(hit.location.uri) ?? fileNode(uriOf(hit));
            files.set(hit.location.uri, file);
            const node = hitNode(hit, file, listing);
            if (hit.why) {
                whyNode(hit.why, wordsOf(hit), node);
            }
        }
        this.files = [...files.values()];
        this.snippets.clear();
        const count = result.hits.length === 1 ? "1 result" : `${result.hits.length || "no"} results`;
        this.view.message = [`${title}: ${count}.`, ...(result.notices ?? [])].join(" ");
        this.changed.fire(undefined);
        await vscode.commands.executeCommand("setContext", "sextant.hasResults", true);
        const first = this.files[0]?.children[0];
        await (first && this.view.reveal(first, { focus, select: false }));
    }

    /**
     * Move to the view, ask, and show the answer there; what was asked before is cancelled. The focus moves now: by the
     * time of the answer the user may be typing elsewhere.
     */
    async ask(ask: Ask, listing: (result: SearchResult) => Listing): Promise<void> {
        this.again = () => this.ask(ask, listing);
        this.asking.cancel();
        const { token } = (this.asking = new vscode.CancellationTokenSource());
        await vscode.commands.executeCommand(`${VIEW}.focus`);
        try {
            const answer = vscode.window.withProgress({ location: { viewId: VIEW } }, () => ask(token));
            await this.show(listing(await answer));
        } catch (error) {
            if (!token.isCancellationRequested) {
                await vscode.commands.executeCommand("workbench.action.focusActiveEditorGroup");
                throw error;
            }
        }
    }

    /** Open the hit so many places after the selected one. */
    async step(by: 1 | -1): Promise<void> {
        const all = this.files.flatMap((file) => file.children);
        const node = this.view.selection[0];
        const selected = [node, node?.parent, node?.children[0]].find((each) => each?.hit);
        const at = selected ? all.indexOf(selected) + by : by > 0 ? 0 : -1;
        const next = all.at(at % all.length);
        if (next?.hit) {
            await this.view.reveal(next, { select: true });
            await vscode.window.showTextDocument(uriOf(next.hit), { selection: rangeOf(next.hit.location.range) });
        }
    }

    async copy(): Promise<void> {
        if (this.listing) {
            const { title, result } = this.listing;
            await vscode.env.clipboard.writeText(markdown(title, result.hits));
            vscode.window.setStatusBarMessage(`Sextant: ${result.hits.length} results copied as Markdown`, 3000);
        }
    }

    /** Compare a hit with the code it is similar to. */
    async diff(node?: Node): Promise<void> {
        const example = this.listing?.example;
        const hit = (node ?? this.view.selection[0])?.hit;
        if (example && hit) {
            const document = await vscode.workspace.openTextDocument(uriOf(hit));
            const target = document.validateRange(rangeOf(hit.targetRange));
            const sides = [example, { name: placeOf(hit), text: snippet(document, target) }].map(({ name, text }) => {
                const path = `/${name.replaceAll("/", "∕")}/${basename(document.fileName)}`;
                const uri = vscode.Uri.from({ scheme: SNIPPETS, path, query: String(this.snippets.size) });
                this.snippets.set(uri.toString(), text);
                return uri;
            });
            await vscode.commands.executeCommand("vscode.diff", ...sides, `${example.name} ↔ ${hit.name}`, { preview: true });
        }
    }

}

function fileNode(resourceUri: vscode.Uri): Node {
    const { dir: description, base } = posix.parse(vscode.workspace.asRelativePath(resourceUri));
    return new Node(base, { resourceUri, iconPath: vscode.ThemeIcon.File, description, collapsibleState: Expanded });
}

function hitNode(hit: Hit, parent: Node, { result, example }: Listing): Node {
    const icon = iconOf(hit);
    const color = new vscode.ThemeColor(`symbolIcon.${icon.slice("symbol-".length)}Foreground`);
    const score = `score ${hit.score.toFixed(2)}`;
    const signature = new vscode.MarkdownString().appendCodeblock(hit.signature ?? hit.name, hit.languageId);
    const options = { selection: rangeOf(hit.location.range), preserveFocus: true, preview: true };
    const look = {
        parent,
        hit,
        description: [bar(hit, result), hit.containerName, hit.detail ?? hit.signature].filter(Boolean).join("  "),
        iconPath: new vscode.ThemeIcon(icon, color),
        tooltip: signature.appendText(`${hit.detail ?? ""}\n\n${placeOf(hit)} · ${score}`),
        accessibilityInformation: { label: `${hit.name}, ${placeOf(hit)}, ${score}` },
        collapsibleState: hit.why ? Collapsed : None,
        contextValue: example ? "similar" : "hit",
        command: { command: "vscode.open", title: "Open", arguments: [uriOf(hit), options] },
    };
    return new Node(hit.name, look);
}

function whyNode({ dense, lexical }: Why, words: Term[], parent: Node): Node {
    const shares = `meaning ${dense.toFixed(2)} · words ${lexical.toFixed(2)}`;
    const tooltip = "Why it matched: nearness in meaning, the share of words, and the words that carried it";
    const look = { parent, tooltip, iconPath: new vscode.ThemeIcon("question") };
    return new Node([shares, ...words.map((each) => each.term)].join(" · "), look);
}
