from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from marketpipeline.telemetry import configure_logging


@pytest.fixture(autouse=True)
def _root_logger() -> Iterator[None]:
    """Logging is the process's: put it back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_one_json_object_a_line() -> None:
    stream = io.StringIO()
    configure_logging("crypto", "ingestion", stream=stream)
    logging.getLogger("marketpipeline.test").info("gap of %d\nids", 3, extra={"symbol": "x:A", "ids": {1, 2}})
    (entry,) = lines(stream)
    assert datetime.fromisoformat(entry.pop("time")).utcoffset() is not None
    assert entry == {
        "level": "INFO",
        "pipeline": "crypto",
        "component": "ingestion",
        "logger": "marketpipeline.test",
        "message": "gap of 3\nids",
        "symbol": "x:A",
        "ids": "{1, 2}",
    }


def test_an_exception_is_one_line_too() -> None:
    stream = io.StringIO()
    configure_logging("crypto", "api", stream=stream)
    try:
        raise ValueError("no")
    except ValueError:
        logging.getLogger("x").exception("failed")
    (entry,) = lines(stream)
    assert entry["level"] == "ERROR"
    assert entry["exception"].endswith("ValueError: no")


def test_the_level_is_set_and_noisy_libraries_are_not_heard() -> None:
    stream = io.StringIO()
    configure_logging("crypto", "api", "WARNING", stream)
    logging.getLogger("x").info("unheard")
    logging.getLogger("x").warning("heard")
    configure_logging("crypto", "api", "DEBUG", stream)
    logging.getLogger("httpx").info("unheard")
    assert [entry["message"] for entry in lines(stream)] == ["heard"]


def test_configuring_again_replaces() -> None:
    first, second = io.StringIO(), io.StringIO()
    configure_logging("crypto", "api", stream=first)
    configure_logging("crypto", "api", stream=second)
    logging.getLogger("x").warning("once")
    assert first.getvalue() == ""
    assert len(lines(second)) == 1
