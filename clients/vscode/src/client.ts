// The connection to a server: vscode-languageclient with what Sextant's server can do beyond it.
import * as vscode from "vscode";
import * as lsp from "vscode-languageclient/node";

import { offer } from "./present";
import * as protocol from "./protocol";

/** The commands of the server's code actions, and how this editor answers them. */
const OWN: Record<string, string> = {
    "sextant.search": "sextant.searchCode",
    "sextant.findSimilar": "sextant.findSimilarToSelection",
};

/** What a message of the protocol begins with. */
const HEADER = /^content-/i;
/** The next server gets a client of its own: the library's restart goes wrong while the client starts or stops. */
const CLOSED = { action: lsp.CloseAction.DoNotRestart, message: "The connection to the server is closed." };

type WorkDone = lsp.WorkDoneProgressBegin | lsp.WorkDoneProgressReport | lsp.WorkDoneProgressEnd;

class Client extends lsp.LanguageClient {
    /** What the library would tell the user is told by ours, with what to do about it. */
    override error(message: string, data?: unknown): void {
        super.error(message, data, false);
    }

    /** End a server that cannot be talked to: its connection closes, as if it had ended by itself. */
    end(): lsp.ErrorHandlerResult {
        this.serverProcess?.stdout?.destroy(); // which a program that it has started may hold open
        this.serverProcess?.kill("SIGKILL");
        return { action: lsp.ErrorAction.Continue };
    }

    protected override async createMessageTransports(encoding: string): Promise<lsp.MessageTransports> {
        const transports = await super.createMessageTransports(encoding);
        const { stdout } = this.serverProcess ?? {};
        const failed = (text: string): unknown => stdout?.destroy(new Error(`no message begins with ${JSON.stringify(text)}`));
        // Of what else a program says the library would wait for the end of the header, and keep all until then.
        stdout?.once("data", (first: Buffer) => HEADER.test(String(first)) || failed(first.toString("utf8", 0, 100)));
        return transports;
    }

    protected override fillInitializeParams(params: lsp.InitializeParams): void {
        super.fillInitializeParams(params);
        params.capabilities.experimental = { serverStatusNotification: true };
    }
}

/** Return a client of that command; it is not started yet. */
export function connect(command: string, log: vscode.LogOutputChannel): lsp.LanguageClient {
    const jobs = new Map<lsp.ProgressToken, (params: WorkDone) => void>();
    // Nothing is looked up in the workspace just because the server was started there.
    const client: Client = new Client("sextant", "Sextant", { command, args: ["serve"], options: { cwd: __dirname } }, {
        documentSelector: [{ scheme: "file" }, { scheme: "untitled" }],
        outputChannel: log,
        revealOutputChannelOn: lsp.RevealOutputChannelOn.Never,
        traceOutputChannel: traceChannel(log),
        initializationFailedHandler: () => false,
        // A write that fails may be the first that is seen of a server's death.
        errorHandler: { error: () => client.end(), closed: () => CLOSED },
        middleware: {
            executeCommand: (name, args: unknown[], next): unknown =>
                OWN[name] ? vscode.commands.executeCommand(OWN[name], ...args) : next(name, args),
            handleWorkDoneProgress: (token, params, next) => {
                if (params.kind === "begin" && params.cancellable) {
                    const cancel = lsp.WorkDoneProgressCancelNotification.type;
                    jobs.set(token, notification(params.title, () => client.sendNotification(cancel, { token })));
                }
                const job = jobs.get(token);
                job?.(params);
                if (!job || params.kind === "end") {
                    jobs.delete(token);
                    next(token, params); // the library's own part ends as well
                }
            },
        },
    });
    // No job outlives its server.
    client.onDidChangeState(() => jobs.forEach((job) => job({ kind: "end" })));
    client.onNotification(protocol.JOB_FINISHED, (job) => {
        const show = job.ok ? vscode.window.showInformationMessage : vscode.window.showWarningMessage;
        void offer(show, `Sextant: ${job.message}`, job.ok ? {} : { "Show Log": "sextant.showLog" });
    });
    return client;
}

/** Give work that can be cancelled, which is a job, a notification of its own; the rest stays in the status bar. */
function notification(title: string, cancel: () => unknown): (params: WorkDone) => void {
    const said = new vscode.EventEmitter<WorkDone>();
    const ended = new Promise<void>((resolve) => said.event(({ kind }) => kind === "end" && resolve()));
    const options = { location: vscode.ProgressLocation.Notification, title, cancellable: true };
    void vscode.window.withProgress(options, (progress, cancelling) => {
        let shown = 0;
        cancelling.onCancellationRequested(cancel);
        said.event((params) => {
            const { message, percentage = shown } = params as lsp.WorkDoneProgressReport;
            progress.report({ message, increment: Math.max(0, percentage - shown) });
            shown = Math.max(shown, percentage);
        });
        return ended;
    });
    return (params) => said.fire(params);
}

/** The client library traces only at the channel's level Trace, which no setting reaches: here the setting decides. */
function traceChannel(log: vscode.LogOutputChannel): vscode.LogOutputChannel {
    const isOff = vscode.workspace.getConfiguration("sextant").get<string>("trace.server", "off") === "off";
    const logLevel = { value: isOff ? vscode.LogLevel.Info : vscode.LogLevel.Trace };
    const trace = { value: (text: string): void => log.info(text) };
    return Object.create(log, { logLevel, trace }) as vscode.LogOutputChannel;
}
