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

/** Return a path as a user writes it with the home folder in it. */
export function underHome(path: unknown): string {
    return String(path).trim().replace(/^~(?=[/\\])/, homedir());
}

/** Look for the server. Nothing of an untrusted workspace is started. */
export async function findServer(privateEnvironment: string): Promise<Found> {
    // VS Code itself withholds what an untrusted workspace says here (restrictedConfigurations).
    const setting = underHome(vscode.workspace.getConfiguration("sextant").get("server.path", ""));
    const folders = (vscode.workspace.workspaceFolders ?? []).map((folder) => folder.uri.fsPath);
    const chosen = setting.replaceAll("${workspaceFolder}", folders[0] ?? "");
    const trusted = vscode.workspace.isTrusted ? folders : [];
    const environments = trusted.flatMap((folder) => ENVIRONMENTS.map((name) => join(folder, name)));
    const places: Record<string, string[]> = {
        "the workspace's virtual environment": environments.map((each) => inEnvironment(each, "sextant")),
        PATH: (process.env.PATH ?? "").split(delimiter).map((folder) => join(folder, WINDOWS ? "sextant.exe" : "sextant")),
        "the private environment": [inEnvironment(privateEnvironment, "sextant")],
    };
    const asked = Object.entries(chosen ? { "the setting sextant.server.path": [chosen] } : places);
    for (const each of asked.flatMap(([from, commands]) => commands.map((command) => ({ command, from })))) {
        if (await isProgram(each.command)) {
            return each;
        }
    }
    const looked = vscode.workspace.isTrusted ? ENVIRONMENTS.join(", ") : "(not inside the workspace: it is not trusted)";
    const nowhere = `The server was not found. Looked at: setting sextant.server.path, ${looked}, PATH.`;
    return { missing: chosen ? `The setting sextant.server.path names ${chosen}, which is not a program.` : nowhere };
}

/** Tell whether there is a program. A relative path, as PATH may hold, might lead into the workspace: passed over. */
async function isProgram(path: string): Promise<boolean> {
    const found = access(path, WINDOWS ? constants.F_OK : constants.X_OK).then(() => stat(path));
    return isAbsolute(path) && found.then((entry) => entry.isFile(), () => false);
}
