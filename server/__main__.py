"""Command line: argv to one of the commands."""

from __future__ import annotations

import argparse
import gc
import importlib.util
import sys
from collections.abc import Sequence

from server import __version__

_CODES = "The exit code is 0 with hits, 1 without any, 2 if something is wrong."


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code."""
    given = sys.argv[1:] if argv is None else argv
    if not given:
        _parser().print_help()
        return 2
    # The trainers read their own options: argparse would stop at the first one.
    if given and given[0] == "train":
        return _train(list(given[1:]))
    # `-path:tests` is a word of the query, not an option; argparse takes what begins with a blank for a word.
    arguments = _parser().parse_args([f" {word}" if word.startswith("-path:") else word for word in given])
    if arguments.command == "serve":
        from server.lsp.stdio import take_stdio  # noqa: PLC0415

        # First of all: from here on nothing but the protocol reaches the real stdout.
        streams = take_stdio() if arguments.tcp is None else None
        from server.process import share_one_arena  # noqa: PLC0415

        share_one_arena()
        from server.lsp.server import serve  # noqa: PLC0415

        gc.freeze()  # what imports made stays: to look for garbage among it takes longer than a keystroke may
        return serve(streams, arguments.tcp, arguments.log)
    from server import commands  # noqa: PLC0415

    return commands.run(arguments)


def _train(options: list[str]) -> int:
    if options[:1] == ["--evaluate"]:
        from server.model.evaluate import main as evaluate  # noqa: PLC0415

        return evaluate(options[1:])
    if options[:1] == ["--ranker"]:
        from server.model.ranker import main as train_ranker  # noqa: PLC0415

        return train_ranker(options[1:])
    if options[:1] == ["--merge"]:
        from server.model.merge import main as merge  # noqa: PLC0415

        return merge(options[1:])
    if options[:1] == ["--compare"]:
        from server.model.compare import main as compare  # noqa: PLC0415

        return compare(options[1:])
    if importlib.util.find_spec("torch") is None:
        from server.process import install_command  # noqa: PLC0415

        sys.stderr.write(f"sextant: training needs torch; install it with: {install_command('train')}\n")
        return 2
    from server.model.train import main as train  # noqa: PLC0415

    return train(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sextant", description="Code search by meaning: a language server, and the same index on the command line."
    )
    parser.add_argument("--version", action="version", version=f"sextant {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    serve = commands.add_parser("serve", help="speak the Language Server Protocol (editors start this)")
    transport = serve.add_mutually_exclusive_group()
    transport.add_argument("--stdio", action="store_true", help="over standard input and output (the default)")
    transport.add_argument("--tcp", type=_port, metavar="PORT", help="over TCP on 127.0.0.1, for debugging")
    serve.add_argument("--log", metavar="FILE", help="also write a log there, one JSON object a line")

    index = commands.add_parser("index", help="index a folder; editors use the same index")
    index.add_argument("folders", nargs="*", metavar="DIR", help="default: the current folder")
    index.add_argument("--list", metavar="FILE", help="one more folder a line; - reads standard input")
    index.add_argument(
        "--on", metavar="WHERE", help="only compute the vectors, for all folders: auto, inline, local, or a Ray cluster"
    )
    index.add_argument("--export", metavar="DIR", help="with --on: also write their vectors to a file there")
    index.add_argument("--json", action="store_true", help="print the outcome as JSON")

    reindex = commands.add_parser("reindex", help="compute what the encoder in your settings lacks, also elsewhere")
    reindex.add_argument("folder", nargs="?", metavar="DIR", help="default: the index around the current folder")
    reindex.add_argument(
        "--on",
        default="auto",
        metavar="WHERE",
        help="auto, inline, local, or a Ray cluster: host:port, ray://host:port",
    )
    reindex.add_argument("--all", action="store_true", help="also look at files that did not change")
    reindex.add_argument("--json", action="store_true", help="print the outcome as JSON")

    tune = commands.add_parser("tune", help="train the model on one repository; kept only if it finds more")
    tune.add_argument("folder", nargs="?", metavar="DIR", help="default: the index around the current folder")
    tune.add_argument(
        "--on", default="auto", metavar="WHERE", help="auto (this machine), inline, local, or a Ray cluster"
    )
    tune.add_argument("--rollback", action="store_true", help="let the base model answer again")
    tune.add_argument("--json", action="store_true", help="print the outcome as JSON")

    vectors = commands.add_parser("vectors", help="share the vectors of the encoder in your settings as a file")
    vectors.add_argument("action", choices=("export", "import"))
    vectors.add_argument("place", metavar="PLACE", help="a folder; import also takes a file")
    vectors.add_argument("--json", action="store_true", help="print the outcome as JSON")

    search = commands.add_parser("search", help="find code by what it does", epilog=_CODES)
    search.add_argument("query", nargs="*", help="words, code or an identifier; lang: kind: path: -path: filter")
    search.add_argument("--queries", metavar="FILE", help="one query a line; prints one JSON line of hits each")
    _add_question(search)
    search.add_argument("--kind", action="append", default=[], help="function, method, class, ... (may be repeated)")

    similar = commands.add_parser("similar", help="find code like a function or a snippet", epilog=_CODES)
    similar.add_argument("place", metavar="FILE:LINE | -", help="a line of the function; - reads a snippet from stdin")
    _add_question(similar)

    status = commands.add_parser("status", help="show what is indexed and what was skipped, and why")
    status.add_argument("named", nargs="?", metavar="DIR", help="default: the index around the current folder")
    status.add_argument("-C", dest="folder", metavar="DIR", help="the same as DIR")
    status.add_argument("--json", action="store_true")

    doctor = commands.add_parser("doctor", help="check the installation and the index, and say what to do")
    doctor.add_argument("named", nargs="?", metavar="DIR", help="default: the index around the current folder")
    doctor.add_argument("-C", dest="folder", metavar="DIR", help="the same as DIR")
    doctor.add_argument("--json", action="store_true")

    commands.add_parser(
        "train",
        help="train the base model (extra: train; --merge, --compare, --evaluate: models), or with --ranker the ranker",
        add_help=False,
    )
    return parser


def _add_question(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-C", dest="folder", metavar="DIR", help="default: the index around the current folder")
    parser.add_argument("-n", dest="limit", type=int, default=10, metavar="N", help="how many hits (default 10)")
    parser.add_argument("--lang", action="append", default=[], help="only this language (may be repeated)")
    parser.add_argument(
        "--path",
        action="append",
        default=[],
        metavar="GLOB",
        help="only there, from the current folder on (path: in a query counts from the top); --path=-GLOB leaves out",
    )
    parser.add_argument("--explain", action="store_true", help="show the words that carried each hit")
    parser.add_argument("--json", action="store_true", help="print the hits as JSON")


def _port(text: str) -> int:
    port = int(text)
    if not 0 < port < 65536:
        raise argparse.ArgumentTypeError("a port is from 1 to 65535")
    return port


if __name__ == "__main__":
    sys.exit(main())
