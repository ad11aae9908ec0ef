// Shows a hit in the editor while the user is still choosing, and the way back.
import * as vscode from "vscode";

import { rangeOf, uriOf, wordsIn } from "./present";
import type { Hit } from "./protocol";

interface Place {
    editor: vscode.TextEditor;
    options: vscode.TextDocumentShowOptions;
    top: vscode.Range | undefined;
}
const LINES_COVERED = 4;
const color = (id: string): vscode.ThemeColor => new vscode.ThemeColor(id);

export class Preview {
    private readonly whole = vscode.window.createTextEditorDecorationType({
        isWholeLine: true,
        backgroundColor: color("editor.foldBackground"),
    });
    private readonly words = vscode.window.createTextEditorDecorationType({
        backgroundColor: color("editor.findMatchHighlightBackground"),
        outline: "1px dotted",
        outlineColor: color("editor.findMatchHighlightBorder"),
        overviewRulerColor: color("editorOverviewRuler.findMatchForeground"),
    });
    private place: Place | undefined;
    private shown: vscode.TextEditor | undefined;
    private before: (string | undefined)[] = [];
    private turn = 0;

    /** Note where the user is. */
    remember(): void {
        const editor = vscode.window.activeTextEditor;
        const preview = vscode.window.tabGroups.activeTabGroup.activeTab?.isPreview;
        const options = { viewColumn: editor?.viewColumn, selection: editor?.selection, preview };
        this.before = tabs().map(uriOfTab);
        this.place = editor && { editor, options, top: editor.visibleRanges[0] };
    }

    /** Show a hit and leave the focus where it is. Throws when its file cannot be opened. */
    async show(hit: Hit): Promise<void> {
        const turn = ++this.turn;
        const document = await vscode.workspace.openTextDocument(uriOf(hit));
        if (turn === this.turn) {
            const editor = await this.reveal(hit, { preserveFocus: true, preview: true });
            this.plain();
            this.shown = editor;
            // Below the middle: the list covers the upper part.
            const { line } = hit.location.range.start;
            const above = new vscode.Position(Math.max(0, line - LINES_COVERED), 0);
            editor.revealRange(new vscode.Range(above, above), vscode.TextEditorRevealType.InCenter);
            if (turn === this.turn) {
                const target = document.validateRange(rangeOf(hit.targetRange));
                const start = document.offsetAt(target.start);
                const place = (offset: number): vscode.Position => document.positionAt(start + offset);
                const words = wordsIn(document.getText(target), hit);
                editor.setDecorations(this.whole, [target]);
                editor.setDecorations(
                    this.words,
                    words.map(([from, to]) => new vscode.Range(place(from), place(to))),
                );
            }
        }
    }

    /** Open a hit for good: its name is selected. Throws when its file cannot be opened. */
    async open(hit: Hit, options: vscode.TextDocumentShowOptions): Promise<void> {
        this.stop();
        await this.reveal(hit, options);
    }

    /** Go back to where the user was. */
    async back(): Promise<void> {
        const shown = this.shown?.document.uri.toString();
        this.stop();
        if (shown && this.place) {
            const editor = await vscode.window.showTextDocument(this.place.editor.document, this.place.options);
            editor.revealRange(this.place.top ?? editor.selection, vscode.TextEditorRevealType.AtTop);
        }
        if (!this.before.includes(shown)) {
            await vscode.window.tabGroups.close(tabs().filter((tab) => tab.isPreview && uriOfTab(tab) === shown));
        }
    }

    private async reveal(hit: Hit, more: vscode.TextDocumentShowOptions): Promise<vscode.TextEditor> {
        const selection = rangeOf(hit.location.range);
        const options = { viewColumn: this.place?.options.viewColumn, ...more, selection };
        const editor = await vscode.window.showTextDocument(uriOf(hit), options);
        editor.revealRange(selection, vscode.TextEditorRevealType.InCenterIfOutsideViewport);
        return editor;
    }

    private stop(): void {
        this.turn++;
        this.plain();
        this.shown = undefined;
    }

    private plain(): void {
        this.shown?.setDecorations(this.whole, []);
        this.shown?.setDecorations(this.words, []);
    }
}

function tabs(): vscode.Tab[] {
    return vscode.window.tabGroups.all.flatMap((group) => group.tabs);
}

function uriOfTab(tab: vscode.Tab): string | undefined {
    return tab.input instanceof vscode.TabInputText ? tab.input.uri.toString() : undefined;
}
