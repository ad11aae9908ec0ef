// How hits look: icons, bars, places, words.
import * as vscode from "vscode";

import type { Hit, SearchResult, Term } from "./protocol";

const BLOCKS = 5;
const NOTABLE = 0.15; // of the heaviest word's weight

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

/** Return what a hit says of itself in one line. */
export function summary(hit: Hit): string {
    return hit.detail ?? hit.signature ?? "";
}

/** Return the words that carried a hit, the heaviest first. */
export function notableTerms(hit: Hit): Term[] {
    const terms = (hit.why?.terms ?? []).filter((each) => each.weight > 0);
    terms.sort((one, other) => other.weight - one.weight);
    return terms.filter((each) => each.weight >= NOTABLE * (terms[0]?.weight ?? 0));
}

/** Return where the words that carried a hit stand in a text, as offsets; they do not overlap. */
export function wordsIn(text: string, hit: Hit): [start: number, end: number][] {
    const words = notableTerms(hit).map((each) => each.term.replace(/[^\p{L}\p{N}_]/gu, "\\$&"));
    const matches = words.length ? text.matchAll(new RegExp(words.join("|"), "giu")) : [];
    return Array.from(matches, (each) => [each.index, each.index + each[0].length]);
}

export function markdown(title: string, hits: readonly Hit[]): string {
    const lines = hits.map((hit) => {
        const name = [hit.containerName, hit.name].filter(Boolean).join(".");
        const link = encodeURI(placeOf(hit).replace(/:(\d+)$/, "#L$1"));
        return `- [\`${name}\`](${link}) ${hit.score.toFixed(2)}${hit.detail ? ` — ${hit.detail}` : ""}`;
    });
    return [`## ${title}`, "", ...lines, ""].join("\n");
}

/** Return the text of a range from the beginning of its first line, without the indentation that all lines share. */
export function snippet(document: vscode.TextDocument, range: vscode.Range): string {
    const before = document.lineAt(range.start).text.slice(0, range.start.character);
    const lines = `${before.trim() ? "" : before}${document.getText(range)}`.split(/\r?\n/);
    const common = Math.min(...lines.filter((line) => line.trim()).map((line) => line.search(/\S/)));
    return lines.map((line) => line.slice(common)).join("\n");
}
