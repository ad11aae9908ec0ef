// Shows a hit in the editor while the user is still choosing, and the way back.
import * as vscode from "vscode";

import { rangeOf, uriOf, wordsOf } from "./present";
import type { Hit } from "./protocol";

const LINES_COVERED = 4; // by the list, above the middle
const color = (id: string): vscode.ThemeColor => new vscode.ThemeColor(id);
const look = vscode.window.createTextEditorDecorationType;
const DEFINITION = look({ isWholeLine: true, backgroundColor: color("editor.foldBackground") });
const WORDS = look({
    backgroundColor: color("editor.findMatchHighlightBackground"),
    outline: "1px dotted",
    outlineColor: color("editor.findMatchHighlightBorder"),
    overviewRulerColor: color("editorOverviewRuler.findMatchForeground"),
});

interface Place {
    document: vscode.TextDocument;
    options: vscode.TextDocumentShowOptions;
    top: vscode.Range | undefined;
}

export class Preview {
    private place: Place | undefined;
    private tab: vscode.Tab | undefined;
    private shown: vscode.TextEditor | undefined;
    private turn = 0;

    /** Note where the user is. A comparison or a page cannot be shown again: it is kept, so that no hit replaces it. */
    remember(): void {
        const editor = vscode.window.activeTextEditor;
        this.tab = vscode.window.tabGroups.activeTabGroup.activeTab;
        const { input, isPreview: preview = false } = this.tab ?? {};
        const isText = input instanceof vscode.TabInputText && input.uri.toString() === editor?.document.uri.toString();
        void (preview && !isText && vscode.commands.executeCommand("workbench.action.keepEditor"));
        const options = { viewColumn: editor?.viewColumn, selection: editor?.selection, preview };
        const place = editor && { document: editor.document, options, top: editor.visibleRanges[0] };
        this.place = isText ? place : undefined;
    }

    /** Show a hit and leave the focus where it is. Throws when its file cannot be opened. */
    async show(hit: Hit): Promise<void> {
        const turn = ++this.turn;
        const document = await vscode.workspace.openTextDocument(uriOf(hit));
        if (turn !== this.turn) {
            return;
        }
        const options = { selection: rangeOf(hit.location.range), preserveFocus: true, preview: true };
        const editor = await vscode.window.showTextDocument(document, options);
        this.mark([], []);
        this.shown = editor;
        const above = new vscode.Position(Math.max(0, hit.location.range.start.line - LINES_COVERED), 0);
        editor.revealRange(new vscode.Range(above, above), vscode.TextEditorRevealType.InCenter);
        if (turn === this.turn) {
            const words = wordsOf(hit).flatMap(({ range }) => (range ? [rangeOf(range)] : []));
            this.mark([rangeOf(hit.targetRange)], words);
        }
    }

    /** Open a hit for good, if `aside` beside where the user was: its name is selected. Throws when that cannot be. */
    async open(hit: Hit, aside: boolean): Promise<void> {
        await (aside ? this.back() : Promise.resolve(this.forget()));
        const { activeTab } = vscode.window.tabGroups.activeTabGroup;
        const viewColumn = aside && activeTab ? vscode.ViewColumn.Beside : vscode.ViewColumn.Active;
        const options = { viewColumn, preview: false, selection: rangeOf(hit.location.range) };
        await vscode.window.showTextDocument(uriOf(hit), options);
    }

    /** Go back to where the user was. */
    async back(): Promise<void> {
        const { shown, place, tab } = this;
        this.forget();
        if (shown && place) {
            const editor = await vscode.window.showTextDocument(place.document, place.options);
            editor.revealRange(place.top ?? editor.selection, vscode.TextEditorRevealType.AtTop);
        } else if (shown && tab) {
            await vscode.commands.executeCommand("workbench.action.openEditorAtIndex", tab.group.tabs.indexOf(tab));
        }
        if (shown && shown.document !== place?.document) {
            const uri = shown.document.uri.toString();
            const shows = ({ input, isPreview }: vscode.Tab): boolean =>
                isPreview && input instanceof vscode.TabInputText && input.uri.toString() === uri;
            await vscode.window.tabGroups.close(vscode.window.tabGroups.all.flatMap(({ tabs }) => tabs.filter(shows)));
        }
    }

    private forget(): void {
        this.turn++;
        this.mark([], []);
        this.shown = this.place = undefined;
    }

    private mark(definition: vscode.Range[], words: vscode.Range[]): void {
        this.shown?.setDecorations(DEFINITION, definition);
        this.shown?.setDecorations(WORDS, words);
    }
}
