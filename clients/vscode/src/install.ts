// The private environment: Python's venv in the extension's own storage, with the server in it.
import { execFile } from "node:child_process";
import { rm } from "node:fs/promises";
import { promisify } from "node:util";
import * as vscode from "vscode";

import { inEnvironment, onPath } from "./discovery";

const PYTHONS = ["python3", "python", "python3.14", "python3.13", "python3.12", "python3.11", "python3.10", "py"];
const IS_NEW_ENOUGH = "import sys; sys.exit(sys.version_info < (3, 10))";
const TITLE = "Sextant: Set Up Server";
const PROMPT = "What pip installs into a private environment: the folder of a Sextant checkout, a wheel or a requirement";
// Annoy's own build asks for -march=native, which breaks in a home folder that different processors share.
const ANNOY =
    "-D_CRT_SECURE_NO_WARNINGS,-fpermissive,-O3,-ffast-math,-fno-associative-math,-DANNOYLIB_MULTITHREADED_BUILD,-std=c++14";
const MOST_OUTPUT = 1e8; // characters
/* eslint max-len: "off" -- What failures look like, and what to do about them. */
const ADVICE: [RegExp, string][] = [
    [/ensurepip is not|No module named '?(venv|ensurepip)/, "Python's venv is missing. Debian and Ubuntu: sudo apt-get install python3-venv."],
    [/NewConnectionError|NameResolutionError|Name or service not known|timed out|ProxyError/i, "The package index cannot be reached. Is there a network, or a proxy to set (PIP_PROXY)?"],
    [/Python\.h|(g\+\+|gcc|c\+\+|clang)\S* failed|Microsoft Visual C\+\+|Failed building wheel for annoy/i, "Annoy, which finds neighbours in large workspaces, is compiled while it is installed: that needs a C++ compiler and Python's headers. Debian and Ubuntu: sudo apt-get install g++ python3-dev. Fedora: sudo dnf install gcc-c++ python3-devel. macOS: xcode-select --install. Windows: the Build Tools for Visual Studio."],
    [/No matching distribution|Could not find a version|Invalid requirement|neither 'setup\.py' nor/, "pip does not find that. Name the folder of a Sextant checkout, a wheel file or a published version."],
];

type Failure = Error & { stdout?: string; stderr?: string };
type Run = (command: string, args: string[]) => Promise<{ ok: boolean; output: string }>;

/** Ask what to install, install it into `environment` and tell whether that worked. */
export async function install(environment: string, log: vscode.LogOutputChannel): Promise<boolean> {
    const value = vscode.workspace.getConfiguration("sextant").get("server.package", "");
    const validateInput = (text: string): string => (/^\s*-/.test(text) ? "This is an option of pip, nothing to install." : "");
    const source = await vscode.window.showInputBox({ title: TITLE, prompt: PROMPT, value, ignoreFocusOut: true, validateInput });
    if (!source?.trim()) {
        return false;
    }
    const options = { location: vscode.ProgressLocation.Notification, title: "Setting up Sextant's server", cancellable: true };
    const failure = await vscode.window.withProgress(options, async (progress, token) => {
        const run = runner(token, log);
        const python = await findPython(run);
        if (!python) {
            return "There is no Python 3.10 or newer on PATH. Install one from your system's packages or python.org.";
        }
        const pip = ["-m", "pip", "install", "--no-input", "--disable-pip-version-check"];
        const steps: [string, string, string[]][] = [
            ["creating the environment…", python, ["-m", "venv", "--clear", environment]],
            // pip's cache would ignore how Annoy is to be compiled.
            ["installing, a minute or two…", inEnvironment(environment, "python"), [...pip, "--no-cache-dir", "--", source.trim()]],
        ];
        for (const [message, command, args] of steps) {
            progress.report({ message });
            const { ok, output } = await run(command, args);
            if (!ok) {
                await rm(environment, { recursive: true, force: true });
                const advice = ADVICE.find(([symptom]) => symptom.test(output))?.[1];
                return token.isCancellationRequested ? "" : (advice ?? output.trim().split("\n").at(-1) ?? "");
            }
        }
        return undefined;
    });
    if (!failure) {
        return failure === undefined;
    }
    const text = `Sextant's server could not be set up. ${failure}`;
    const answer = await vscode.window.showErrorMessage(text, "Try Again", "Show Log");
    if (answer === "Show Log") {
        log.show();
    }
    return answer === "Try Again" && install(environment, log);
}

async function findPython(run: Run): Promise<string | undefined> {
    for (const name of PYTHONS) {
        const path = await onPath(name);
        if (path && (await run(path, ["-c", IS_NEW_ENOUGH])).ok) {
            return path;
        }
    }
    return undefined;
}

/** Return what runs a program, logs what it says and ends it when `token` is cancelled. */
function runner(token: vscode.CancellationToken, log: vscode.LogOutputChannel): Run {
    const stop = new AbortController();
    token.onCancellationRequested(() => stop.abort());
    const env = process.platform === "win32" ? process.env : { ...process.env, ANNOY_COMPILER_ARGS: ANNOY };
    return async (command, args) => {
        log.info(`$ ${[command, ...args].join(" ")}`);
        const running = promisify(execFile)(command, args, { env, signal: stop.signal, maxBuffer: MOST_OUTPUT });
        const ended = await running.catch((error: unknown) => error as Failure);
        const said = [ended.stdout, ended.stderr, "message" in ended && !ended.stderr ? ended.message : ""];
        const output = said.filter(Boolean).join("\n");
        log.info(output);
        return { ok: !(ended instanceof Error), output };
    };
}
