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

const RESPITE = 300; // ms
const PATIENCE = 5000; // ms, with a server that hangs while it starts

/** `idle`: there is no folder to search. `missing`: no command was found. `failed`: it does not run. */
export type Phase = "idle" | "missing" | "starting" | "running" | "failed";

const PHASES = { Starting: "starting", StartFailed: "failed", Running: "running", Stopped: "failed" } as const;

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

    /** Stop the server if it runs, look for it again and start it. */
    restart(): Promise<void> {
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
        if (await install(this.environment, this.log)) {
            await this.restart();
        }
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
        await this.started();
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
            const isGone = error instanceof lsp.ResponseError && error.code === lsp.ErrorCodes.PendingResponseRejected;
            throw isGone ? new Error("The server ended while it was asked. It is started again: ask once more.") : error;
        } finally {
            listening?.dispose();
        }
    }

    async stop(): Promise<void> {
        await Promise.race([this.started(), setTimeout(PATIENCE)]); // a client that is starting cannot be stopped
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
        const { command, from } = found;
        this.log.info(`starting ${command} from ${from}`);
        const client = connect(command, this.log);
        client.onNotification(protocol.SERVER_STATUS, (health) => {
            this.health = health;
            this.changed.fire();
        });
        client.onDidChangeState(({ newState }) => {
            if (this.client !== client) {
                return;
            }
            const phase = PHASES[lsp.State[newState] as keyof typeof PHASES];
            this.become(phase, phase === "failed" ? `${command} ended. Its log says why.` : "");
            if (phase === "running" && !this.methods().includes(protocol.SEARCH.method)) {
                this.become("failed", `${command} is a language server, but not Sextant's.`);
            }
        });
        this.client = client;
        const reason = `${command} (from ${from}) does not start as Sextant's server. Its log says why.`;
        void client.start().catch(() => this.client === client && this.become("failed", reason));
    }

    private become(phase: Phase, reason = ""): void {
        Object.assign(this, { phase, reason, health: undefined });
        void vscode.commands.executeCommand("setContext", "sextant.phase", phase);
        void vscode.commands.executeCommand("setContext", "sextant.methods", this.methods());
        this.changed.fire();
        if (phase === "missing" || phase === "failed") {
            // Not if the client library starts it again at once.
            void setTimeout(RESPITE).then(() => (this.reason === reason ? this.tell(reason) : undefined));
        }
    }

    /** Wait for a start that is under way, also for those that the client library makes after a crash. */
    private async started(): Promise<void> {
        if (this.phase === "starting") {
            await this.client?.start().catch(() => undefined);
        }
    }

    /** Return what the server can be asked beyond the standard. */
    private methods(): string[] {
        const offered: unknown = this.client?.initializeResult?.capabilities.experimental;
        return (offered as { sextant?: { methods: string[] } } | undefined)?.sextant?.methods ?? [];
    }
}
