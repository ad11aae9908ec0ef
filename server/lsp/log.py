"""Log: a line of text for people on stderr, a line of JSON for programs in a file; never the user's text."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from logging.handlers import RotatingFileHandler
from pathlib import Path

MOST_BYTES = 5_000_000
"""Of a log file, which is then kept once under another name."""


class JsonLines(logging.Formatter):
    """Formats a record as one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        fields = {
            "time": f"{moment}.{int(record.msecs):03}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "thread": record.threadName,
        }
        if record.exc_info:
            fields["error"] = self.formatException(record.exc_info)
        return json.dumps(fields)


def set_up(file: str | None) -> None:
    """Begin to log: at the level SEXTANT_LOG to stderr, from info on also to a file; raises OSError if it cannot be."""
    level = logging.getLevelName(os.environ.get("SEXTANT_LOG", "WARNING").upper())
    level = level if isinstance(level, int) else logging.WARNING
    people = logging.StreamHandler(sys.stderr)
    people.setLevel(level)
    people.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    handlers: list[logging.Handler] = [people]
    if file is not None:
        path = Path(file).expanduser()
        path.parent.mkdir(parents=True, exist_ok=True)
        programs = RotatingFileHandler(path, maxBytes=MOST_BYTES, backupCount=1, encoding="utf-8")
        programs.setFormatter(JsonLines())
        programs.setLevel(min(level, logging.INFO))
        handlers.append(programs)
    logging.basicConfig(level=min(each.level for each in handlers), handlers=handlers)
    # pygls logs whole messages, even at ERROR: that is the user's text. asyncio tells of its selector.
    logging.getLogger("pygls").setLevel(logging.CRITICAL)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
