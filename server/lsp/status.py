"""Server status: a notification at each change, for clients that show whether the server is well and at rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from lsprotocol import types

from server.lsp import protocol

Notify = Callable[[str, Any], None]


class ServerStatus:
    """Tells a client that wants it (`experimental.serverStatusNotification`) what changed."""

    def __init__(self, notify: Notify) -> None:
        self._notify = notify
        self._last: protocol.ServerStatusParams | None = None

    def update(self, folders: Sequence[protocol.FolderStatus], is_tuned: bool = False) -> None:
        """Take the state of all folders; `is_tuned`: the model of this repository answers."""
        is_quiet = all(folder.state in ("ready", "degraded") for folder in folders)
        troubles = [folder.message or "the index is degraded" for folder in folders if folder.state == "degraded"]
        self._say(
            protocol.ServerStatusParams(
                health="warning" if troubles else "ok",
                quiescent=is_quiet,
                message="; ".join(troubles) or None,
                summary=_summary(folders, is_quiet, bool(troubles), is_tuned),
            )
        )

    def fail(self, message: str) -> None:
        """Say that there will be no answers."""
        self._say(protocol.ServerStatusParams(health="error", quiescent=True, message=message))

    def _say(self, status: protocol.ServerStatusParams) -> None:
        if status != self._last:
            self._last = status
            self._notify(protocol.SERVER_STATUS, status)


def _summary(folders: Sequence[protocol.FolderStatus], is_quiet: bool, is_degraded: bool, is_tuned: bool) -> str:
    """Return how the index is in a few words."""
    if not is_quiet:
        done, waiting = sum(each.files for each in folders), sum(each.pending_files for each in folders)
        return f"indexing {100 * done // max(1, done + waiting)} %"
    units = sum(each.units for each in folders)
    model = ", by the model tuned to this repository" if is_tuned else ""
    return f"{'degraded' if is_degraded else 'ready'}: {units:,} functions and types{model}"


def is_wanted(able: types.ClientCapabilities) -> bool:
    """Tell whether a client asked for the notification."""
    return isinstance(able.experimental, dict) and able.experimental.get("serverStatusNotification") is True
