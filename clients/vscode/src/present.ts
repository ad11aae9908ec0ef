// How hits look: icons, bars, places, words. And how messages are shown.
import * as vscode from "vscode";

import type { Hit, SearchResult, Term } from "./protocol";

const BLOCKS = 5;
const NOTABLE = 0.15; // of the heaviest word's weight

/** Add to a question what holds for all of them. */
export function withDefaults<P extends object>(params: P): P & { limit: number; explain: boolean } {
    const limit = vscode.workspace.getConfiguration("sextant").get("search.limit", 30);
    // The editor marks what is out of bounds or no number, and hands it on.
    return { ...params, limit: Math.min(Math.max(Math.trunc(limit), 1), 200) || 30, explain: true };
}

export function uriOf(hit: Hit): vscode.Uri {
    return vscode.Uri.parse(hit.location.uri);
}

export function rangeOf({ start, end }: Hit["targetRange"]): vscode.Range {
    return new vscode.Range(start.line, start.character, end.line, end.character);
}

/** Return the codicon of a hit's kind, such as symbol-type-parameter. */
export function iconOf(hit: Hit): string {
    const kind = vscode.SymbolKind[hit.kind - 1] ?? "misc";
    return `symbol-${kind.replace(/(?<=[a-z])(?=[A-Z])/g, "-").toLowerCase()}`;
}

/** Return a hit's score as a bar. It is full for the best hit, unless nothing matches well. */
export function bar(hit: Hit, { hits, lowConfidence }: SearchResult): string {
    const most = lowConfidence ? 1 : (hits[0]?.score ?? 0) || 1;
    const full = Math.round(Math.min(1, Math.max(0, hit.score / most)) * BLOCKS);
    return "▰".repeat(full) + "▱".repeat(BLOCKS - full);
}

export function placeOf(hit: Hit): string {
    return `${vscode.workspace.asRelativePath(uriOf(hit))}:${hit.location.range.start.line + 1}`;
}

/** Return the words that carried a hit, the heaviest first. */
export function wordsOf({ why }: Hit): Term[] {
    return why?.terms.filter(({ weight }) => weight > NOTABLE * (why.terms[0]?.weight ?? 0)) ?? [];
}

export function markdown(title: string, hits: readonly Hit[]): string {
    const lines = hits.map((hit) => {
        const name = [hit.containerName, hit.name].filter(Boolean).join(".");
        const link = encodeURI(placeOf(hit)).replace(/[#?]/g, encodeURIComponent).replace(/:(\d+)$/, "#L$1");
        return `- [\`${name}\`](${link}) ${hit.score.toFixed(2)}${hit.detail ? ` — ${hit.detail}` : ""}`;
    });
    return [`## ${title}`, "", ...lines, ""].join("\n");
}

/** Return the text of a range from the beginning of its first line on, without the indentation that all lines share. */
export function snippet(document: vscode.TextDocument, range: vscode.Range): string {
    const lines = document.getText(range.with(range.start.with(undefined, 0))).split(/\r?\n/);
    const common = Math.min(...lines.filter((line) => line.trim()).map((line) => line.search(/\S/)));
    return lines.map((line) => line.slice(common)).join("\n");
}

type Show = (text: string, ...buttons: string[]) => Thenable<string | undefined>;

/** Show a message with a button for each command, and run the one that is chosen. */
export async function offer(show: Show, text: string, commands: Record<string, string>): Promise<void> {
    const chosen = await show(text, ...Object.keys(commands));
    const [command, argument] = commands[chosen ?? ""]?.split(" ") ?? [];
    await (command && vscode.commands.executeCommand(command, argument));
}

export function messageOf(error: unknown): string {
    return error instanceof Error ? error.message : String(error);
}
