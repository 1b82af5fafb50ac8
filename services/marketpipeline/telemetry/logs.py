"""Logs as JSON, one object a line on standard error, so that any collector can read them."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import TextIO

__all__ = ["JsonFormatter", "configure_logging"]

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """Time, level, component, logger, message, whatever `extra` held, and a traceback as text."""

    def __init__(self, pipeline: str, component: str) -> None:
        super().__init__()
        self._context = {"pipeline": pipeline, "component": component}

    def format(self, record: logging.LogRecord) -> str:
        """One line of JSON; a value that JSON does not know is shown by `str`."""
        entry: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            **self._context,
            "logger": record.name,
            "message": record.getMessage(),
        }
        entry |= {key: value for key, value in vars(record).items() if key not in _STANDARD}
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str)


def configure_logging(pipeline: str, component: str, level: str = "INFO", stream: TextIO | None = None) -> None:
    """Send all logging of this process to `stream` (standard error) as JSON. Calling it again replaces it."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter(pipeline, component))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for noisy in ("httpx", "httpcore", "urllib3", "aiohttp.access"):
        logging.getLogger(noisy).setLevel("WARNING")
