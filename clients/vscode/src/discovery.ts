// Where the server's command is: setting, workspace, PATH, private environment, in this order.
import { access, constants, stat } from "node:fs/promises";
import { homedir } from "node:os";
import { delimiter, isAbsolute, join } from "node:path";
import * as vscode from "vscode";

const WINDOWS = process.platform === "win32";
const ENVIRONMENTS = [".venv", "venv", "env"];

/** A command, or the reason why there is none. */
export type Found = { command: string; from: string } | { missing: string };

/** Return the program of that name in a virtual environment. */
export function inEnvironment(environment: string, name: string): string {
    return WINDOWS ? join(environment, "Scripts", `${name}.exe`) : join(environment, "bin", name);
}

/** Return the absolute path of a program on PATH. Relative entries may lead into the workspace: passed over. */
export async function onPath(name: string): Promise<string | undefined> {
    const folders = (process.env.PATH ?? "").split(delimiter).filter(isAbsolute);
    return firstProgram(folders.map((folder) => join(folder, WINDOWS ? `${name}.exe` : name)));
}

/** Look for the server. Nothing of an untrusted workspace is started. */
export async function findServer(privateEnvironment: string): Promise<Found> {
    // VS Code itself withholds what an untrusted workspace says here (restrictedConfigurations).
    const chosen = vscode.workspace.getConfiguration("sextant").get("server.path", "").trim();
    const folders = (vscode.workspace.workspaceFolders ?? []).map((folder) => folder.uri.fsPath);
    if (chosen) {
        const command = chosen.replace(/^~(?=[/\\])/, homedir()).replaceAll("${workspaceFolder}", folders[0] ?? "");
        const isThere = await firstProgram([command]);
        return isThere
            ? { command, from: "the setting sextant.server.path" }
            : { missing: `The setting sextant.server.path names ${command}, which is not a program.` };
    }
    const trusted = vscode.workspace.isTrusted ? folders : [];
    const local = trusted.flatMap((folder) => ENVIRONMENTS.map((name) => inEnvironment(join(folder, name), "sextant")));
    const command = await firstProgram(local);
    if (command) {
        return { command, from: "the workspace's virtual environment" };
    }
    const installed = await onPath("sextant");
    if (installed) {
        return { command: installed, from: "PATH" };
    }
    const own = await firstProgram([inEnvironment(privateEnvironment, "sextant")]);
    if (own) {
        return { command: own, from: "the private environment" };
    }
    const looked = vscode.workspace.isTrusted ? ENVIRONMENTS.join(", ") : "(not inside the workspace: it is not trusted)";
    return { missing: `Sextant's server was not found. Looked at: setting sextant.server.path, ${looked}, PATH.` };
}

async function firstProgram(paths: string[]): Promise<string | undefined> {
    for (const path of paths.filter(isAbsolute)) {
        const isThere = access(path, WINDOWS ? constants.F_OK : constants.X_OK).then(() => stat(path));
        if ((await isThere.catch(() => undefined))?.isFile()) {
            return path;
        }
    }
    return undefined;
}
