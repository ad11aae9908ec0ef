// The language server as the rest of the extension sees it: started, restarted, asked.
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import * as vscode from "vscode";
import * as lsp from "vscode-languageclient/node";

import { findServer } from "./discovery";
import { install } from "./install";
import * as protocol from "./protocol";

const RESTARTS = 4;
const NEVER = new vscode.CancellationTokenSource().token;

/** `idle`: there is no folder to search. `missing`: no command was found. `failed`: it does not run. */
export type Phase = { name: "idle" | "starting" | "running" } | { name: "missing" | "failed"; reason: string };

/** Runs a command of the server's, such as one of a code action, in this editor's own way; false if it has none. */
export type RunCommand = (command: string) => boolean;

export class Server {
    phase: Phase = { name: "idle" };
    /** What the server said of itself last. */
    health: protocol.ServerStatusParams | undefined;
    private readonly changed = new vscode.EventEmitter<void>();
    readonly onDidChange = this.changed.event;
    private readonly finished = new vscode.EventEmitter<protocol.JobFinished>();
    readonly onDidFinishJob = this.finished.event;
    private client: lsp.LanguageClient | undefined;
    private methods: string[] = [];
    private queue: Promise<void> = Promise.resolve();
    private readonly environment: string;

    constructor(
        private readonly context: vscode.ExtensionContext,
        readonly log: vscode.LogOutputChannel,
        private readonly runCommand: RunCommand,
    ) {
        this.environment = join(context.globalStorageUri.fsPath, "server");
        context.subscriptions.push(
            vscode.workspace.onDidGrantWorkspaceTrust(() => this.phase.name === "missing" && this.restart()),
            vscode.workspace.onDidChangeWorkspaceFolders(() => this.phase.name === "idle" && this.restart()),
            vscode.workspace.onDidChangeConfiguration((event) => {
                const settings = ["sextant.server.path", "sextant.trace.server"];
                return settings.some((each) => event.affectsConfiguration(each)) && this.restart();
            }),
        );
    }

    offers(type: { method: string }): boolean {
        return this.methods.includes(type.method);
    }

    /** Stop the server if it runs, look for it again and start it. */
    restart(): Promise<void> {
        this.queue = this.queue.then(() => this.stop()).then(() => this.start());
        return this.queue;
    }

    /** Wait until the server runs; where it cannot, say so with what to do next, and return false. */
    async ready(): Promise<boolean> {
        await this.queue;
        const { phase } = this;
        if (phase.name === "idle") {
            const text = "Sextant searches folders. Open one first.";
            await offer(vscode.window.showInformationMessage, text, {
                "Open Folder…": () => vscode.commands.executeCommand("workbench.action.files.openFolder"),
            });
        } else if (phase.name === "missing") {
            await offer(vscode.window.showErrorMessage, phase.reason, {
                "Set Up Server…": () => this.setUp(),
                "Open Setting": () =>
                    vscode.commands.executeCommand("workbench.action.openSettings", "sextant.server.path"),
            });
        } else if (phase.name !== "running") {
            const text = phase.name === "failed" ? phase.reason : "Sextant's server is being started again.";
            await offer(vscode.window.showErrorMessage, text, {
                "Restart Server": () => this.restart(),
                "Show Log": () => this.log.show(),
            });
        }
        return phase.name === "running";
    }

    /** Create the private environment and start the server from it. */
    async setUp(): Promise<void> {
        if (await install(this.environment, this.log)) {
            await this.restart();
        }
    }

    /** Send a request; `onPartial` is given what is found at once. Throws an Error with a sentence for the user. */
    async request<P extends object | undefined, R>(
        type: { method: string } & (lsp.RequestType<P, R, void> | lsp.RequestType0<R, void>),
        params?: P,
        token: vscode.CancellationToken = NEVER,
        onPartial?: (partial: R) => void,
    ): Promise<R> {
        if (!this.client || this.phase.name !== "running") {
            throw new Error("Sextant's server is not running.");
        }
        if (!this.offers(type)) {
            throw new Error(`This version of Sextant's server does not offer ${type.method}. Update it.`);
        }
        if (!onPartial) {
            return await this.client.sendRequest<R>(type.method, params, token);
        }
        const partialResultToken = crypto.randomUUID();
        const listening = this.client.onProgress(new lsp.ProgressType<R>(), partialResultToken, onPartial);
        const answer = this.client.sendRequest<R>(type.method, { ...params, partialResultToken }, token);
        return answer.finally(() => void listening.dispose());
    }

    async stop(): Promise<void> {
        const client = this.client;
        this.client = undefined;
        await client?.dispose().catch((error: unknown) => this.log.warn(`the server did not stop: ${String(error)}`));
    }

    private async start(): Promise<void> {
        this.health = undefined;
        if (!vscode.workspace.workspaceFolders?.length) {
            return this.become({ name: "idle" });
        }
        const found = await findServer(this.environment);
        if ("missing" in found) {
            this.log.warn(found.missing);
            return this.become({ name: "missing", reason: found.missing });
        }
        const { command, from } = found;
        this.log.info(`starting ${command} from ${from}`);
        // Nothing is looked up in the workspace just because the server was started there.
        const cwd = this.context.globalStorageUri.fsPath;
        await mkdir(cwd, { recursive: true });
        const client = this.connect(command, cwd);
        this.client = client;
        this.become({ name: "starting" });
        await client.start().catch((error: unknown) => {
            const reason = `${command} (from ${from}) does not start as Sextant's server: ${messageOf(error)}`;
            this.become({ name: "failed", reason });
        });
    }

    private connect(command: string, cwd: string): lsp.LanguageClient {
        const server = { command, args: ["serve"], options: { cwd } };
        const client: lsp.LanguageClient = new lsp.LanguageClient("sextant", "Sextant", server, {
            documentSelector: [{ scheme: "file" }, { scheme: "untitled" }],
            outputChannel: this.log,
            traceOutputChannel: traceChannel(this.log),
            initializationFailedHandler: () => false,
            errorHandler: {
                error: (error, message, count) => handler.error(error, message, count),
                closed: async () => {
                    const { action } = await handler.closed();
                    if (action === lsp.CloseAction.DoNotRestart) {
                        const reason = `Sextant's server ended ${RESTARTS + 1} times in three minutes. Its log says why.`;
                        this.become({ name: "failed", reason });
                        void this.ready();
                    }
                    this.log.warn("the server ended unexpectedly");
                    return { action, handled: true };
                },
            },
            middleware: {
                executeCommand: (name, args, next): unknown => (this.runCommand(name) ? undefined : next(name, args)),
                handleWorkDoneProgress: jobNotifications((token) =>
                    client.sendNotification(lsp.WorkDoneProgressCancelNotification.type, { token }),
                ),
            },
        });
        const handler = client.createDefaultErrorHandler(RESTARTS);
        client.registerFeature({
            getState: () => ({ kind: "static" }),
            fillClientCapabilities: (capabilities) => {
                const others = capabilities.experimental as object | undefined;
                capabilities.experimental = { ...others, serverStatusNotification: true };
            },
            initialize: () => undefined,
            clear: () => undefined,
        });
        client.onNotification(protocol.SERVER_STATUS, (health) => {
            this.health = health;
            this.changed.fire();
        });
        client.onNotification(protocol.JOB_FINISHED, (job) => this.finished.fire(job));
        client.onDidChangeState(({ newState }) => {
            if (this.client !== client || (this.phase.name === "failed" && newState !== lsp.State.Running)) {
                return;
            }
            const offered = client.initializeResult?.capabilities.experimental as Offered | undefined;
            if (newState !== lsp.State.Running) {
                this.become({ name: "starting" });
            } else if (offered?.sextant) {
                this.become({ name: "running" }, offered.sextant.methods);
            } else {
                this.become({ name: "failed", reason: `${command} is a language server, but not Sextant's.` });
            }
        });
        return client;
    }

    private become(phase: Phase, methods: string[] = []): void {
        this.phase = phase;
        this.methods = methods;
        void vscode.commands.executeCommand("setContext", "sextant.phase", phase.name);
        void vscode.commands.executeCommand("setContext", "sextant.canReindex", this.offers(protocol.REINDEX));
        void vscode.commands.executeCommand("setContext", "sextant.canTune", this.offers(protocol.TUNE));
        this.changed.fire();
    }
}

interface Offered {
    sextant?: { methods: string[] };
}
type Show = (text: string, ...buttons: string[]) => Thenable<string | undefined>;
type WorkDone = lsp.WorkDoneProgressBegin | lsp.WorkDoneProgressReport | lsp.WorkDoneProgressEnd;

/** Show a message with a button for each action, and do what is chosen. */
export async function offer(show: Show, text: string, actions: Record<string, () => unknown>): Promise<void> {
    const chosen = await show(text, ...Object.keys(actions));
    await actions[chosen ?? ""]?.();
}

export function messageOf(error: unknown): string {
    return error instanceof Error ? error.message : String(error);
}

/** Give work that can be cancelled, which is a job, a notification of its own; the rest stays in the status bar. */
function jobNotifications(cancel: (token: lsp.ProgressToken) => unknown): lsp.Middleware["handleWorkDoneProgress"] {
    const jobs = new Map<lsp.ProgressToken, (params: WorkDone) => void>();
    return (token, params, next) => {
        if (params.kind === "begin" && params.cancellable) {
            const { title } = params;
            const options = { location: vscode.ProgressLocation.Notification, title, cancellable: true };
            let show: ((params: WorkDone) => void) | undefined;
            const end = new Promise<void>((resolve) => {
                jobs.set(token, (report) => (report.kind === "end" ? resolve() : show?.(report)));
            });
            void vscode.window.withProgress(options, (progress, cancelling) => {
                let shown = 0;
                cancelling.onCancellationRequested(() => cancel(token));
                show = (report) => {
                    const { message, percentage = shown } = report as lsp.WorkDoneProgressReport;
                    progress.report({ message, increment: Math.max(0, percentage - shown) });
                    shown = Math.max(shown, percentage);
                };
                return end;
            });
        } else if (!jobs.has(token)) {
            next(token, params);
        }
        jobs.get(token)?.(params);
        if (params.kind === "end" && jobs.delete(token)) {
            next(token, params); // the library's own part ends as well
        }
    };
}

/** The client library traces only at the channel's level Trace, which no setting reaches: here the setting decides. */
function traceChannel(log: vscode.LogOutputChannel): vscode.LogOutputChannel {
    const isOff = vscode.workspace.getConfiguration("sextant").get<string>("trace.server", "off") === "off";
    const logLevel = { value: isOff ? vscode.LogLevel.Info : vscode.LogLevel.Trace };
    const trace = { value: (text: string): void => log.info(text) };
    return Object.create(log, { logLevel, trace }) as vscode.LogOutputChannel;
}
