"""The language server: pygls with its faults repaired, on streams of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Generator
from typing import Any

from lsprotocol import types
from pygls.exceptions import (
    JsonRpcException,
    JsonRpcInternalError,
    JsonRpcInvalidRequest,
    JsonRpcMethodNotFound,
    JsonRpcParseError,
    JsonRpcRequestCancelled,
    JsonRpcServerNotInitialized,
)
from pygls.lsp.server import LanguageServer
from pygls.protocol import JsonRPCRequestMessage, LanguageServerProtocol, default_converter, lsp_method

from server import __version__
from server.lsp import actions, duplicates, handlers, log, parent, protocol, stdio
from server.lsp.session import Session

LAST_WORDS = 0.3
"""Seconds that a client gets to read what was said before the end."""

REQUEST = 8_000
"""Bytes that a request in work takes beside those of its message."""

GRACE = 0.7
"""Seconds that threads and the loop get to end with the session; then the process goes without them."""

logger = logging.getLogger(__name__)


class InFlight(dict[Any, Any]):
    """The requests in work.

    Repair 3: `shutdown` walks over these and cancels them, and each removes itself meanwhile; with a plain dict it dies
    of "dictionary changed size" and the server stays up (openlawlibrary/pygls#606).
    """

    def items(self) -> list[tuple[Any, Any]]:  # type: ignore[override]
        """Return a copy."""
        return list(super().items())


class SextantProtocol(LanguageServerProtocol):
    """JSON-RPC in which every request is answered exactly once, whatever the client sends.

    Each override below names the reason; tests/e2e/test_raw.py and tests/e2e/test_rpc.py have a test for each.
    """

    _server: SextantServer

    def __init__(self, server: SextantServer, converter: Any) -> None:
        super().__init__(server, converter)
        self._request_futures = InFlight()
        self._initialized = False
        self._leaves = False
        """Whether the client has said `exit`."""
        self._begun: dict[int | str, tuple[str, float, int]] = {}
        """Method, time and burden of the requests in work."""
        self.burden = stdio.Burden()

    def _register_builtin_features(self) -> None:
        # Documents and commands are ours (documents.py and actions.py say why): without its own handlers pygls neither
        # keeps a second copy of each text nor starts a command that a cancel does not stop. Nor are its progresses.
        super()._register_builtin_features()  # type: ignore[no-untyped-call]
        ours = (types.WORKSPACE_EXECUTE_COMMAND, types.WINDOW_WORK_DONE_PROGRESS_CANCEL)
        for method in list(self.fm.builtin_features):
            if method.startswith(("textDocument/", "notebookDocument/")) or method in ours:
                del self.fm.builtin_features[method]

    @property
    def was_shut_down(self) -> bool:
        """Whether the client asked for the end in the proper way."""
        return self._shutdown

    # What comes in.

    def receive(self, body: bytes) -> None:
        """Handle one message.

        Repair 1: pygls decides in the JSON parser what a message is and drops what does not fit, so that a request
        with wrong parameters is never answered. Here the envelope is read first; then there is an id to answer.
        """
        try:
            message = json.loads(body)
        except (ValueError, RecursionError):
            self._refuse(None, JsonRpcParseError("The message is not valid JSON."))
            return
        if not isinstance(message, dict):
            self._refuse(None, JsonRpcInvalidRequest("A message must be one object."))
            return
        msg_id = message.get("id")
        if isinstance(msg_id, bool) or not isinstance(msg_id, (int, str)):
            msg_id = None
        method = message.get("method")
        try:
            if message.get("jsonrpc") != self.VERSION or not isinstance(method, str | None):
                self._refuse(msg_id, JsonRpcInvalidRequest("The message is not JSON-RPC 2.0."))
            elif method is None:
                self._receive_response(msg_id, message)
            elif "id" not in message:
                self._receive_notification(method, message)
            elif msg_id is None:
                self._refuse(None, JsonRpcInvalidRequest("An id must be a number or a string."))
            else:
                self._receive_request(msg_id, method, message, len(body))
        except Exception as error:  # one message must not take the others with it
            _log_bug(error, method if isinstance(method, str) else "response")
            if msg_id is not None and isinstance(method, str):
                self._refuse(msg_id, _internal(error))

    def _receive_request(self, msg_id: int | str, method: str, message: dict[str, Any], size: int) -> None:
        if (objection := self._objection(msg_id, method)) is not None:
            self._refuse(msg_id, objection)
            return
        try:
            if method in protocol.PARAMS:
                params = protocol.parse_params(method, message.get("params"))
                request = JsonRPCRequestMessage(msg_id, method, self.VERSION, params)
            else:
                request = self.structure_message(message)
        except protocol.InvalidParams as error:
            self._refuse(msg_id, error)
        except JsonRpcException:
            self._refuse(msg_id, protocol.InvalidParams(f"The parameters of {method} are malformed."))
        else:
            if method == types.INITIALIZE:
                self._initialized = True
            self._begun[msg_id] = (method, time.monotonic(), REQUEST + size)
            self.burden.add(REQUEST + size)
            self.handle_message(request)
            # Repair 19: pygls notes a shutdown at its end, and an `exit` right behind it would come before that.
            self._shutdown = self._shutdown or method == types.SHUTDOWN

    def _objection(self, msg_id: int | str, method: str) -> JsonRpcException | None:
        if msg_id in self._begun:
            return JsonRpcInvalidRequest("A request with this id is still being answered.")
        if self._shutdown:
            return JsonRpcInvalidRequest("The server has been shut down.")
        if method == types.INITIALIZE:
            return JsonRpcInvalidRequest("The server is initialized already.") if self._initialized else None
        if not self._initialized:
            return JsonRpcServerNotInitialized("The first request must be initialize.")
        if not self._handles(method) or _is_request(method) is False:
            return JsonRpcMethodNotFound(f"Sextant has no request {method!r}.")
        return None

    def _receive_notification(self, method: str, message: dict[str, Any]) -> None:
        if method == types.EXIT:
            self._leaves = True
            self._leave()
            return
        if not self._initialized or self._shutdown:
            return
        if method != types.CANCEL_REQUEST and (not self._handles(method) or _is_request(method)):
            logger.debug("notification %r is not ours", method)
            return
        try:
            notification = self.structure_message(message)
        except JsonRpcException:
            logger.warning("a malformed %s was ignored", method)
        else:
            self.handle_message(notification)

    def _leave(self) -> None:
        """End the session once the shutdown is answered, if the client asked for one."""
        if all(method != types.SHUTDOWN for method, *_ in self._begun.values()):
            self._server.stop()
        else:
            self._server.stop_by_force()

    def _receive_response(self, msg_id: int | str | None, message: dict[str, Any]) -> None:
        # Repair 16: pygls drops the answers to its own requests after shutdown (openlawlibrary/pygls#605), and takes
        # an answer with any id for one of them: the id of a running request of the client broke that request.
        if msg_id not in self._result_types:
            logger.warning("an answer to no question was ignored")
            return
        result_type = self._result_types.pop(msg_id)
        future = self._request_futures.pop(msg_id, None)
        if future is None or not future.set_running_or_notify_cancel():
            return
        if "error" in message:
            future.set_exception(JsonRpcException("The client refused."))
            return
        try:
            result = message.get("result")
            known = self._converter.structure(message, result_type).result if result_type is not None else result
        except Exception as error:  # whatever the converter raises about the client's answer
            future.set_exception(error)
        else:
            future.set_result(known)

    def _handles(self, method: str) -> bool:
        return method in self.fm.builtin_features or method in self.fm.features

    def _execute_handler(self, msg_id: Any, *args: Any, **kwargs: Any) -> None:
        # Repair 2: pygls keeps the future of every notification for ever (20,000 edits were 39 MB).
        super()._execute_handler(msg_id, *args, **kwargs)
        future = self._request_futures.get(msg_id)
        if future is not None:
            future.add_done_callback(lambda _: self._request_futures.pop(msg_id, None))

    # What goes out.

    def _send_handler_result(self, future: Any, *, msg_id: Any) -> None:
        # Repair 14: pygls sends the traceback of a failed request to the client, and logs its parameters.
        self._request_futures.pop(msg_id, None)
        self._trace(msg_id, future)
        if future.cancelled():
            self._refuse(msg_id, JsonRpcRequestCancelled("The request was cancelled."))
        elif (error := future.exception()) is None:
            result = future.result()
            if isinstance(result, protocol.Written):
                head = f'{{"jsonrpc": "{self.VERSION}", "id": {json.dumps(msg_id)}, "result": '
                self._write(f"{head}{result.json}}}")
            else:
                self._send_response(msg_id, result=result)
        elif isinstance(error, JsonRpcException):
            self._refuse(msg_id, error)
        else:
            _log_bug(error, "a request")
            self._refuse(msg_id, _internal(error))
        if self._leaves:
            self._leave()

    def _check_handler_result(self, future: Any) -> None:
        # Repair 14: pygls shows a failed notification to the user, who can do nothing about it.
        if not future.cancelled() and (error := future.exception()) is not None:
            _log_bug(error, "a notification")

    def _trace(self, msg_id: int | str, future: Any) -> None:
        """Say how long a request took, in the log and to a client that traces; never what it was about."""
        method, begun, burden = self._begun.pop(msg_id, ("", 0.0, 0))
        self.burden.add(-burden)  # it is over
        outcome = "cancelled" if future.cancelled() else "failed" if future.exception() else "answered"
        message = f"{method} {outcome} in {1000 * (time.monotonic() - begun):.1f} ms"
        logger.info("%s", message)
        if self.trace in (types.TraceValue.Messages, types.TraceValue.Verbose) and not self._shutdown:
            verbose = f"request {msg_id!r}, {len(self._request_futures)} others in work"
            told = types.LogTraceParams(message, verbose if self.trace == types.TraceValue.Verbose else None)
            self.notify(types.LOG_TRACE, told)

    def _refuse(self, msg_id: int | str | None, error: JsonRpcException) -> None:
        body = {"code": error.code, "message": error.message}
        self._send_data({"jsonrpc": self.VERSION, "id": msg_id, "error": body})

    def _send_data(self, data: Any) -> None:
        # Repair 5: pygls logs and drops what it cannot write as JSON, and the client waits for ever. It also logs every
        # message, which is the user's text.
        try:
            body = json.dumps(data, default=self._serialize_message, allow_nan=False)
        except Exception as error:  # any object may be in there
            _log_bug(error, "an answer")
            if not hasattr(data, "result"):
                return
            refusal = _internal(error)
            fields = {"code": refusal.code, "message": refusal.message}
            body = json.dumps({"jsonrpc": self.VERSION, "id": data.id, "error": fields})
        self._write(body)

    def _write(self, body: str) -> None:
        if self.writer is not None:
            self.writer.write(f"Content-Length: {len(body)}\r\n\r\n{body}".encode("ascii"))

    # Beginning and end.

    @lsp_method(types.INITIALIZE)
    def lsp_initialize(self, params: types.InitializeParams) -> Generator[Any, Any, types.InitializeResult]:
        """Answer with what the server can do; the engine starts after the reply."""
        result = yield from super().lsp_initialize(params)
        able = result.capabilities
        able.workspace_symbol_provider = types.WorkspaceSymbolOptions(work_done_progress=True)
        able.code_action_provider = types.CodeActionOptions(
            [actions.FIND_KIND, actions.SEARCH_KIND, types.CodeActionKind.QuickFix]
        )
        able.diagnostic_provider = types.DiagnosticOptions(True, False, identifier=duplicates.SOURCE)
        if able.workspace is not None and able.workspace.file_operations is not None:
            everything = types.FileOperationFilter(types.FileOperationPattern("**/*"), scheme="file")
            able.workspace.file_operations.did_rename = types.FileOperationRegistrationOptions([everything])
        commands = [name for name, method in protocol.COMMANDS.items() if self._handles(method)]
        able.execute_command_provider = types.ExecuteCommandOptions([*commands, duplicates.SHOW_BOTH])
        able.experimental = {
            "sextant": {
                "protocolVersion": protocol.PROTOCOL_VERSION,
                "methods": sorted(method for method in protocol.PARAMS if self._handles(method)),
            }
        }
        self.trace = params.trace or types.TraceValue.Off
        parent.watch(params.process_id, self._server.stop)
        self._server.session.open(params, str(able.position_encoding or types.PositionEncodingKind.Utf16.value))
        return result


class SextantServer(LanguageServer):
    """One server for one client."""

    protocol: SextantProtocol

    def __init__(self) -> None:
        super().__init__("sextant", __version__, protocol_cls=SextantProtocol, converter_factory=default_converter)
        self._framer = stdio.Framer()
        self._stopped = asyncio.Event()
        self.ends_process = False
        """Whether the process goes with the session, by force if need be."""
        self._force: threading.Timer | None = None
        self.session = Session(self.protocol.notify, self.protocol.send_request_async)

    def report_server_error(self, error: Exception, source: Any) -> None:
        """Log; a pop-up would tell the user of what only we can mend (repair 14)."""
        _log_bug(error, "pygls")

    def stop(self) -> None:
        """End the session."""
        self.stop_by_force()
        self._stopped.set()

    def stop_by_force(self) -> None:
        """End the process soon, whatever its threads and its event loop do then; for any thread."""
        if self.ends_process and self._force is None:
            self._force = threading.Timer(GRACE, lambda: os._exit(self.exit_code))
            self._force.daemon = True
            self._force.start()

    @property
    def exit_code(self) -> int:
        """Return 0 if the client asked for shutdown first, else 1.

        Repair 15: pygls returns 0 whatever happened, and waits at the end of input for running threads.
        """
        return 0 if self.protocol.was_shut_down else 1

    def feed(self, chunk: bytes) -> None:
        """Handle the messages that a chunk of input completes."""
        for body in self._framer.feed(chunk):
            if not self._stopped.is_set():
                self.protocol.receive(body)

    async def run_stdio(self, streams: stdio.Streams) -> None:
        """Serve (input, output) until exit or the end of input."""
        loop = asyncio.get_running_loop()
        incoming, outgoing = streams

        def ended() -> None:
            self.stop_by_force()  # from here: the loop may be busy
            with contextlib.suppress(RuntimeError):  # the loop has closed
                loop.call_soon_threadsafe(self.stop)

        def take(chunk: bytes) -> None:
            self.feed(chunk)
            burden.add(-stdio.GROWTH * len(chunk))  # what stays of it is counted by itself

        burden = self.protocol.burden
        writer = stdio.Writer(outgoing, ended, burden)
        self.protocol.set_writer(writer)
        stdio.pump(incoming, lambda chunk: loop.call_soon_threadsafe(take, chunk), ended, burden)
        await self._until_stopped()
        writer.close(LAST_WORDS)

    async def run_tcp(self, port: int) -> None:
        """Serve the first client that connects on this machine, until exit or the end of the connection."""
        connections: list[asyncio.StreamWriter] = []

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if connections:
                writer.close()
                return
            connections.append(writer)
            self.protocol.set_writer(writer)
            try:
                while chunk := await reader.read(1 << 16):
                    self.feed(chunk)
                    await writer.drain()
            except OSError:
                logger.info("the connection was lost")
            self.stop()

        listener = await asyncio.start_server(connected, "127.0.0.1", port)
        sys.stderr.write(f"Sextant listens on 127.0.0.1:{listener.sockets[0].getsockname()[1]}\n")
        sys.stderr.flush()
        await self._until_stopped()
        listener.close()
        for writer in connections:
            writer.close()

    async def _until_stopped(self) -> None:
        if sys.platform != "win32":
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self.stop)
        await self._stopped.wait()
        await self.session.quiet()


def create() -> SextantServer:
    """Return a server with all handlers; call it inside a running event loop."""
    server = SextantServer()
    handlers.register(server)
    return server


def serve(streams: stdio.Streams | None, tcp_port: int | None = None, log_file: str | None = None) -> int:
    """Serve one client, over the streams of `take_stdio` or a local port, and return the process's exit code.

    The process must end with it: threads that do not stop within `GRACE` end it by force.
    """
    # Indexing shares the interpreter with the questions: hand it over every millisecond rather than every five.
    sys.setswitchinterval(0.001)
    try:
        log.set_up(log_file)
    except OSError as error:
        sys.stderr.write(f"Sextant cannot write its log: {error}\n")
        return 1

    async def main() -> int:
        server = create()
        server.ends_process = True
        try:
            await (server.run_tcp(tcp_port or 0) if streams is None else server.run_stdio(streams))
        except OSError as error:
            sys.stderr.write(f"Sextant cannot serve: {error}\n")
            return 1
        server.session.close()
        return server.exit_code

    try:
        return asyncio.run(main())
    except KeyboardInterrupt:
        return 1


def _is_request(method: str) -> bool | None:
    """Tell whether a method is answered; None for one that neither we nor the LSP know."""
    if method in protocol.PARAMS:
        return True
    known = types.METHOD_TO_TYPES.get(method)
    return None if known is None else known[1] is not None


def _internal(error: BaseException) -> JsonRpcInternalError:
    return JsonRpcInternalError(f"A bug in Sextant ({type(error).__name__}); the server's log has the details.")


def _log_bug(error: BaseException, where: str) -> None:
    # Without the error's own words: they may quote the user's text.
    frames = "".join(traceback.format_tb(error.__traceback__))
    logger.error("a bug showed in %s: %s\n%s", where, type(error).__name__, frames)
