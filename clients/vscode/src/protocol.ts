// Written by `python -m tests.mirror` from server/lsp/protocol.py; EXTENSIONS.md says what it means.
import {
    type Location,
    NotificationType,
    type ProgressToken,
    type Range,
    RequestType,
    RequestType0,
    type SymbolKind,
    type TextDocumentIdentifier,
    type URI,
    type uinteger,
} from "vscode-languageclient/node";

export const PROTOCOL_VERSION = 1;

/** A question in words, code or an identifier. */
export interface SearchParams {
    query: string;
    limit?: uinteger;
    languages?: string[];
    kinds?: SymbolKind[];
    include?: string[];
    exclude?: string[];
    scope?: URI;
    explain?: boolean;
    complete?: boolean;
    workDoneToken?: ProgressToken;
    partialResultToken?: ProgressToken;
}

/** A question by example: a place in a document, or a text. */
export interface FindSimilarParams {
    textDocument?: TextDocumentIdentifier;
    range?: Range;
    text?: string;
    languageId?: string;
    limit?: uinteger;
    languages?: string[];
    include?: string[];
    exclude?: string[];
    scope?: URI;
    explain?: boolean;
    workDoneToken?: ProgressToken;
    partialResultToken?: ProgressToken;
}

/** What to index again, and where to compute it. */
export interface ReindexParams {
    folder?: URI;
    scope?: "changed" | "all";
    on?: string;
}

/** The answer to sextant/reindex and sextant/tune: the job has begun. */
export interface ReindexResult {
    jobId: string;
}

/** Which folder's model to train, and where. */
export interface TuneParams {
    folder?: URI;
    on?: string;
}

/** How a job ended. */
export interface JobFinished {
    jobId: string;
    kind: "reindex" | "tune";
    ok: boolean;
    message: string;
    before?: number;
    after?: number;
    accepted?: boolean;
}

/** Whether the server is well, and whether it is at rest. */
export interface ServerStatusParams {
    health: "ok" | "warning" | "error";
    quiescent: boolean;
    message?: string;
    summary?: string;
}

/** A word of the question, what it brought to a hit, and where it stands there. */
export interface Term {
    term: string;
    weight: number;
    range?: Range;
    dense?: number;
    lexical?: number;
}

/** What speaks for a hit. */
export interface Why {
    dense: number;
    lexical: number;
    terms: Term[];
}

/** One answer. */
export interface Hit {
    location: Location;
    targetRange: Range;
    name: string;
    kind: SymbolKind;
    languageId: string;
    score: number;
    containerName?: string;
    signature?: string;
    detail?: string;
    similarity?: number;
    why?: Why;
    copies?: uinteger;
}

/** What a query that ends in an unfinished filter may become. */
export interface Completion {
    label: string;
    query: string;
    detail?: string;
}

/** The answer to sextant/search and sextant/findSimilar. */
export interface SearchResult {
    hits: Hit[];
    isIncomplete: boolean;
    generation: uinteger;
    lowConfidence: boolean;
    origin?: Hit;
    notices?: string[];
    completions?: Completion[];
}

/** What is known of one workspace folder. */
export interface FolderStatus {
    uri: URI;
    state: "opening" | "indexing" | "ready" | "degraded";
    files: uinteger;
    units: uinteger;
    pendingFiles: uinteger;
    skippedFiles: uinteger;
    languages: { [languageId: string]: uinteger };
    message?: string;
    encodedUnits?: uinteger;
    summary?: string;
}

/** The answer to sextant/indexStatus. */
export interface IndexStatus {
    protocolVersion: 1;
    folders: FolderStatus[];
    generation: uinteger;
    encoder: string;
    backend: string;
    residentBytes: uinteger;
}

export const SEARCH = new RequestType<SearchParams, SearchResult, void>("sextant/search");
export const FIND_SIMILAR = new RequestType<FindSimilarParams, SearchResult, void>("sextant/findSimilar");
export const INDEX_STATUS = new RequestType0<IndexStatus, void>("sextant/indexStatus");
export const REINDEX = new RequestType<ReindexParams, ReindexResult, void>("sextant/reindex");
export const TUNE = new RequestType<TuneParams, ReindexResult, void>("sextant/tune");
export const JOB_FINISHED = new NotificationType<JobFinished>("sextant/jobFinished");
export const SERVER_STATUS = new NotificationType<ServerStatusParams>("experimental/serverStatus");
