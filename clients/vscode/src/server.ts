// The language server as the rest of the extension sees it: started, restarted, asked.
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import * as vscode from "vscode";
import * as lsp from "vscode-languageclient/node";

import { connect } from "./client";
import { findServer } from "./discovery";
import { install } from "./install";
import { messageOf, offer } from "./present";
import * as protocol from "./protocol";

const PATIENCE = 5000; // ms, with a server that hangs while it starts
const MOST_ENDS = 4; // after which another server is started, within:
const MEMORY = 180_000; // ms

/** `idle`: there is no folder to search. `missing`: no command was found. `failed`: it does not run. */
export type Phase = "idle" | "missing" | "starting" | "running" | "failed";

/** What the client library answers for a server that is dead, or is not yet known to be. */
const GONE: number[] = [lsp.ErrorCodes.PendingResponseRejected, lsp.ErrorCodes.MessageWriteError];

/** What the user can do where the server does not run. */
const HELP: { [phase in Phase]?: Record<string, string> } = {
    idle: { "Open Folder…": "workbench.action.files.openFolder" },
    missing: {
        "Set Up Server…": "sextant.setUpServer",
        "Open Setting": "workbench.action.openSettings sextant.server.path",
        "Look Again": "sextant.restartServer",
    },
    failed: { "Restart Server": "sextant.restartServer", "Show Log": "sextant.showLog" },
};

export class Server {
    phase: Phase = "starting";
    /** Why it does not run. */
    reason = "";
    /** What the server said of itself last. */
    health: protocol.ServerStatusParams | undefined;
    private readonly changed = new vscode.EventEmitter<void>();
    readonly onDidChange = this.changed.event;
    private client: lsp.LanguageClient | undefined;
    private queue: Promise<void> = Promise.resolve();
    private starting: Promise<void> = Promise.resolve();
    /** What has run as Sextant's server: what ends before that is not tried again. */
    private proven = "";
    /** When servers ended that nobody had stopped. */
    private ends: number[] = [];
    private readonly environment: string;

    constructor(context: vscode.ExtensionContext, private readonly log: vscode.LogOutputChannel) {
        this.environment = join(context.globalStorageUri.fsPath, "server");
        context.subscriptions.push(
            vscode.workspace.onDidGrantWorkspaceTrust(() => this.phase === "missing" && this.restart()),
            vscode.workspace.onDidChangeWorkspaceFolders(() => this.phase === "idle" && this.restart()),
            vscode.workspace.onDidChangeConfiguration((event) =>
                ["sextant.server", "sextant.trace"].some((each) => event.affectsConfiguration(each)) && this.restart(),
            ),
        );
    }

    /** Stop the server if it runs, look for it again and start it. If that ends by itself, `ends` count against it. */
    restart(ends: number[] = []): Promise<void> {
        this.ends = ends;
        const failed = (error: unknown): void => this.become("failed", messageOf(error));
        return (this.queue = this.queue.then(() => this.stop()).then(() => this.start()).catch(failed));
    }

    /** Throw an Error with a sentence for the user if asking is of no use. A server that is starting can be asked. */
    check(): void {
        if (this.phase in HELP) {
            throw new Error(this.reason);
        }
    }

    /** Tell the user what went wrong, and what can be done about it. */
    async tell(error: unknown): Promise<void> {
        const isDown = this.phase === "missing" || this.phase === "failed";
        const show = isDown ? vscode.window.showErrorMessage : vscode.window.showWarningMessage;
        await offer(show, `Sextant: ${messageOf(error)}`, HELP[this.phase] ?? {});
    }

    /** Create the private environment and start the server from it. */
    async setUp(): Promise<void> {
        await ((await install(this.environment, this.log)) && this.restart());
    }

    /**
     * Send a request as soon as the server runs; `onPartial` is given what is found at once. Throws an Error with a
     * sentence for the user.
     */
    async request<P extends object | undefined, R>(
        type: { method: string } & (lsp.RequestType<P, R, void> | lsp.RequestType0<R, void>),
        params?: P,
        token = new vscode.CancellationTokenSource().token,
        onPartial?: (partial: R) => void,
    ): Promise<R> {
        await this.queue;
        await (this.phase === "starting" && this.starting);
        this.check();
        if (!this.client) {
            throw new Error("The server is being restarted: ask once more.");
        }
        const id = crypto.randomUUID();
        const listening = onPartial && this.client.onProgress(new lsp.ProgressType<R>(), id, onPartial);
        const asked = onPartial ? { ...params, partialResultToken: id } : params;
        try {
            return await this.client.sendRequest<R>(type.method, asked, token);
        } catch (error) {
            const isGone = error instanceof lsp.ResponseError && GONE.includes(error.code);
            throw isGone ? new Error("The server ended while it was asked. It is started again: ask once more.") : error;
        } finally {
            listening?.dispose();
        }
    }

    async stop(): Promise<void> {
        // A client that is starting cannot be stopped.
        await (this.phase === "starting" && Promise.race([this.starting, setTimeout(PATIENCE)]));
        const client = this.client;
        this.client = undefined;
        await client?.dispose().catch((error: unknown) => this.log.warn(`the server did not stop: ${String(error)}`));
    }

    private async start(): Promise<void> {
        if (!vscode.workspace.workspaceFolders?.length) {
            return this.become("idle", "Open a folder first: that is what is searched.");
        }
        const found = await findServer(this.environment);
        if ("missing" in found) {
            this.log.warn(found.missing);
            return this.become("missing", found.missing);
        }
        const name = `${found.command} (from ${found.from})`;
        this.log.info(`starting ${name}`);
        const client = connect(found.command, this.log);
        client.onNotification(protocol.SERVER_STATUS, (health) => {
            this.health = health;
            this.changed.fire();
        });
        client.onDidChangeState(({ newState }) => {
            if (this.client === client && newState === lsp.State.Running) {
                const isOurs = this.methods().includes(protocol.SEARCH.method);
                this.proven = isOurs ? name : "";
                this.become(isOurs ? "running" : "failed", isOurs ? "" : `${name} is a language server, but not Sextant's.`);
            } else if (this.client === client && newState !== lsp.State.Starting) {
                this.ended(name);
            }
        });
        this.client = client;
        this.become("starting");
        this.starting = client.start().catch(() => undefined); // the state says so as well
    }

    /** Start another server in the place of one that ended by itself, unless it has never run or ends too often. */
    private ended(name: string): void {
        this.client = undefined;
        const ends = [...this.ends.filter((each) => Date.now() - each < MEMORY), Date.now()];
        const isHopeless = this.proven !== name || ends.length > MOST_ENDS;
        const reason = this.proven === name ? "ended too often" : "does not start as Sextant's server";
        void (isHopeless ? this.become("failed", `${name} ${reason}. Its log says why.`) : this.restart(ends));
    }

    private become(phase: Phase, reason = ""): void {
        Object.assign(this, { phase, reason, health: undefined });
        void vscode.commands.executeCommand("setContext", "sextant.phase", phase);
        void vscode.commands.executeCommand("setContext", "sextant.methods", this.methods());
        this.changed.fire();
        void ((phase === "missing" || phase === "failed") && this.tell(reason));
    }

    /** Return what the server can be asked beyond the standard. */
    private methods(): string[] {
        const offered: unknown = this.client?.initializeResult?.capabilities.experimental;
        return (offered as { sextant?: { methods: string[] } } | undefined)?.sextant?.methods ?? [];
    }
}
