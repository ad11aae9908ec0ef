// The private environment: Python's venv in the extension's own storage, with the server in it.
import { execFile } from "node:child_process";
import { rm } from "node:fs/promises";
import * as vscode from "vscode";

import { inEnvironment, underHome } from "./discovery";

const PYTHONS = ["python3", "python", "python3.14", "python3.13", "python3.12", "python3.11", "python3.10", "py"];
const IS_NEW_ENOUGH = "import sys; sys.exit(sys.version_info < (3, 10))";
const PROMPT = "What pip installs into a private environment: the folder of a Sextant checkout, a wheel or a requirement";
// pip's cache would ignore how Annoy is to be compiled: its own build asks for -march=native, which breaks in a home
// folder that different processors share.
const PIP = ["-m", "pip", "install", "--no-input", "--disable-pip-version-check", "--no-cache-dir", "--"];
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

type Run = (command: string, ...args: string[]) => Promise<{ ok: boolean; output: string }>;

/** Ask what to install and install it into `environment`; false if the user does not want to. Throws what went wrong. */
export async function install(environment: string, log: vscode.LogOutputChannel): Promise<boolean> {
    const value = vscode.workspace.getConfiguration("sextant").get("server.package", "");
    const source = await vscode.window.showInputBox({ title: "Sextant: Set Up Server", prompt: PROMPT, value, ignoreFocusOut: true });
    if (!source?.trim()) {
        return false;
    }
    const options = { location: vscode.ProgressLocation.Notification, title: "Setting up Sextant's server", cancellable: true };
    return vscode.window.withProgress(options, async (progress, token) => {
        const run = runner(token, log);
        progress.report({ message: "creating the environment…" });
        let python: string | undefined;
        for (const name of PYTHONS) {
            python ??= (await run(name, "-c", IS_NEW_ENOUGH)).ok ? name : undefined;
        }
        const failed = (reason: string): false => {
            if (!token.isCancellationRequested) {
                throw new Error(`The server could not be set up. ${reason}`);
            }
            return false;
        };
        if (!python) {
            return failed("There is no Python 3.10 or newer on PATH: install one from your system's packages or python.org.");
        }
        let step = await run(python, "-m", "venv", "--clear", environment);
        if (step.ok) {
            progress.report({ message: "installing, a minute or two…" });
            step = await run(inEnvironment(environment, "python"), ...PIP, underHome(source));
        }
        if (step.ok) {
            return true;
        }
        await rm(environment, { recursive: true, force: true });
        const advice = ADVICE.find(([symptom]) => symptom.test(step.output))?.[1];
        return failed(advice ?? step.output.trim().split("\n").at(-1) ?? "");
    });
}

/** Return what runs a program, logs what it says and ends it when `token` is cancelled. */
function runner(token: vscode.CancellationToken, log: vscode.LogOutputChannel): Run {
    const stop = new AbortController();
    token.onCancellationRequested(() => stop.abort());
    const env = process.platform === "win32" ? process.env : { ...process.env, ANNOY_COMPILER_ARGS: ANNOY };
    // A relative entry of PATH leads nowhere from the extension's own folder.
    const options = { env, cwd: __dirname, signal: stop.signal, maxBuffer: MOST_OUTPUT };
    return (command, ...args) =>
        new Promise((resolve) => {
            log.info(`$ ${[command, ...args].join(" ")}`);
            execFile(command, args, options, (error, stdout, stderr) => {
                const output = `${stdout}\n${stderr || (error?.message ?? "")}`;
                log.info(output);
                resolve({ ok: !error, output });
            });
        });
}
