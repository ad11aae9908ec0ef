// The results view: what was found, grouped by file, for as long as the user needs it.
import * as vscode from "vscode";

import { bar, iconOf, markdown, notableTerms, placeOf, rangeOf, snippet, summary, uriOf, wordsIn } from "./present";
import type { Hit, SearchResult } from "./protocol";
import { messageOf } from "./server";

/** A question with its answer. */
export interface Listing {
    title: string;
    result: SearchResult;
    ask: (token: vscode.CancellationToken) => Promise<SearchResult>;
    /** The code that hits are compared with, and what it is called. */
    example?: { text: string; name: string };
}

interface FileNode {
    uri: vscode.Uri;
    hits: HitNode[];
}
interface HitNode {
    hit: Hit;
    file: FileNode;
}
interface WhyNode {
    why: string;
    of: HitNode;
}
type Node = FileNode | HitNode | WhyNode;

const VIEW = "sextant.results";
const SNIPPETS = "sextant-snippet";

export class Results implements vscode.TreeDataProvider<Node> {
    private readonly changed = new vscode.EventEmitter<undefined>();
    readonly onDidChangeTreeData = this.changed.event;
    private readonly view = vscode.window.createTreeView<Node>(VIEW, { treeDataProvider: this, showCollapseAll: true });
    private listing: Listing | undefined;
    private files: FileNode[] = [];
    private readonly snippets = new Map<string, string>();

    constructor(context: vscode.ExtensionContext) {
        const provideTextDocumentContent = (uri: vscode.Uri): string | undefined => this.snippets.get(uri.toString());
        const provider = vscode.workspace.registerTextDocumentContentProvider(SNIPPETS, { provideTextDocumentContent });
        context.subscriptions.push(this.view, provider);
    }

    /** Show an answer in place of the one before, and move there; without one, show nothing. */
    async show(listing?: Listing): Promise<void> {
        this.listing = listing;
        const files = new Map<string, FileNode>();
        for (const hit of listing?.result.hits ?? []) {
            const file = files.get(hit.location.uri) ?? { uri: uriOf(hit), hits: [] };
            file.hits.push({ hit, file });
            files.set(hit.location.uri, file);
        }
        this.files = [...files.values()];
        this.snippets.clear();
        this.view.message = listing && messageFor(listing);
        this.changed.fire(undefined);
        await vscode.commands.executeCommand("setContext", "sextant.hasResults", listing !== undefined);
        await vscode.commands.executeCommand(`${VIEW}.focus`);
        if (this.files[0]?.hits[0]) {
            await this.view.reveal(this.files[0].hits[0], { focus: true, select: false });
        }
    }

    /** Ask the same once more. */
    async again(): Promise<void> {
        const { listing } = this;
        await (listing && this.ask(listing.title, listing.ask, (result) => ({ ...listing, result })));
    }

    /** Ask, and show the answer or say why there is none. */
    async ask(title: string, ask: Listing["ask"], listing: (result: SearchResult) => Listing): Promise<void> {
        const options = { location: vscode.ProgressLocation.Window, title: `Sextant: ${title}`, cancellable: true };
        try {
            await this.show(listing(await vscode.window.withProgress(options, (_, token) => ask(token))));
        } catch (error) {
            void vscode.window.showWarningMessage(`Sextant: ${messageOf(error)}`);
        }
    }

    /** Open the hit so many places after the selected one. */
    async step(by: 1 | -1): Promise<void> {
        const all = this.files.flatMap((file) => file.hits);
        const node = this.view.selection[0];
        const selected = node && ("why" in node ? node.of : "hits" in node ? node.hits[0] : node);
        const at = selected ? all.indexOf(selected) + by : by > 0 ? 0 : -1;
        const next = all.at(at % all.length);
        if (next) {
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
    async diff(node = this.view.selection[0]): Promise<void> {
        const example = this.listing?.example;
        if (example && node && "hit" in node) {
            const document = await vscode.workspace.openTextDocument(uriOf(node.hit));
            const target = document.validateRange(rangeOf(node.hit.targetRange));
            const left = this.virtual(node.hit, example.name, example.text);
            const right = this.virtual(node.hit, placeOf(node.hit), snippet(document, target));
            const title = `${example.name} ↔ ${node.hit.name}`;
            await vscode.commands.executeCommand("vscode.diff", left, right, title, { preview: true });
        }
    }

    getChildren(node?: Node): Node[] {
        if (!node || "hits" in node) {
            return node?.hits ?? this.files;
        }
        const why = "hit" in node ? node.hit.why : undefined;
        if (!why || !("hit" in node)) {
            return [];
        }
        const words = notableTerms(node.hit).map((each) => each.term);
        const shares = [`meaning ${why.dense.toFixed(2)}`, `words ${why.lexical.toFixed(2)}`];
        return [{ why: [...shares, words.join(", ")].filter(Boolean).join(" · "), of: node }];
    }

    getParent(node: Node): Node | undefined {
        return "hits" in node ? undefined : "why" in node ? node.of : node.file;
    }

    getTreeItem(node: Node): vscode.TreeItem {
        if ("why" in node) {
            const item = new vscode.TreeItem(node.why);
            item.iconPath = new vscode.ThemeIcon("question");
            item.tooltip = "Why it matched: nearness in meaning, the share of words, and the words that carried it";
            return item;
        }
        if ("hits" in node) {
            const item = new vscode.TreeItem(node.uri, vscode.TreeItemCollapsibleState.Expanded);
            item.iconPath = vscode.ThemeIcon.File;
            item.description = vscode.workspace.asRelativePath(node.uri).replace(/\/?[^/]*$/, "");
            return item;
        }
        const { hit } = node;
        const icon = iconOf(hit);
        const state = vscode.TreeItemCollapsibleState[hit.why ? "Collapsed" : "None"];
        const item = new vscode.TreeItem({ label: hit.name, highlights: wordsIn(hit.name, hit) }, state);
        const score = this.listing && bar(hit, this.listing.result);
        item.description = [score, hit.containerName, summary(hit)].filter(Boolean).join("  ");
        item.iconPath = new vscode.ThemeIcon(icon, new vscode.ThemeColor(`symbolIcon.${icon.slice(7)}Foreground`));
        const tooltip = new vscode.MarkdownString().appendCodeblock(hit.signature ?? hit.name, hit.languageId);
        item.tooltip = tooltip.appendText(`${hit.detail ?? ""}\n\n${placeOf(hit)} · score ${hit.score.toFixed(2)}`);
        item.accessibilityInformation = { label: `${hit.name}, ${placeOf(hit)}, score ${hit.score.toFixed(2)}` };
        item.contextValue = this.listing?.example ? "similar" : "hit";
        const options = { selection: rangeOf(hit.location.range), preserveFocus: true, preview: true };
        item.command = { command: "vscode.open", title: "Open", arguments: [uriOf(hit), options] };
        return item;
    }

    private virtual(hit: Hit, name: string, text: string): vscode.Uri {
        const path = `/${name.replaceAll("/", "∕")}/${hit.location.uri.replace(/.*\//, "")}`;
        const uri = vscode.Uri.from({ scheme: SNIPPETS, path, query: String(this.snippets.size) });
        this.snippets.set(uri.toString(), text);
        return uri;
    }
}

function messageFor({ title, result }: Listing): string {
    const count = result.hits.length === 1 ? "1 result" : `${result.hits.length || "no"} results`;
    const missing = result.isIncomplete ? " Still indexing: the list is incomplete, search again later." : "";
    const weak = result.lowConfidence ? " Nothing matches well; these are the nearest." : "";
    return `${title}: ${count}.${missing}${weak}`;
}
