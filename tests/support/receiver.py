"""A local HTTP server that takes notifications and checks them as the services' documentation says they must be."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

__all__ = ["KEY", "Receiver", "receiver"]

KEY = "0123456789abcdef0123456789abcdef"
"""A routing key of PagerDuty."""


class Receiver:
    """`got` are the bodies that were taken, by path; `answers` what the next requests get instead of a check."""

    def __init__(self) -> None:
        self.got: dict[str, list[Any]] = {}
        self.headers: list[dict[str, str]] = []
        self.answers: list[tuple[int, dict[str, str]]] = []
        self.refused: list[str] = []
        self.requests = 0

    def __getitem__(self, path: str) -> list[Any]:
        return self.got.get(path, [])

    def answer(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, str, dict[str, str]]:
        self.requests += 1
        if self.answers:
            status, extra = self.answers.pop(0)
            return status, "not now", extra
        data = json.loads(body)
        wrong = [what for what, right in _CHECKS.get(path, lambda _: {})(data).items() if not right]
        if wrong:
            self.refused += wrong
            return 400, ", ".join(wrong), {}
        self.got.setdefault(path, []).append(data)
        self.headers.append(headers)
        return (202, '{"status": "success"}', {}) if path == "/v2/enqueue" else (200, "ok", {})


def _slack(data: Any) -> dict[str, bool]:
    """docs.slack.dev: incoming webhooks, blocks `section` and `context`."""
    blocks = data.get("blocks", [])
    texts = [block["text"] for block in blocks if block["type"] == "section"]
    texts += [element for block in blocks if block["type"] == "context" for element in block["elements"]]
    return {
        "no_text": isinstance(data.get("text"), str) and 0 < len(data["text"]) <= 40_000,
        "invalid_blocks: too many": 0 < len(blocks) <= 50,
        "invalid_blocks: type": {block["type"] for block in blocks} <= {"section", "context"},
        "invalid_blocks: text": all(t["type"] == "mrkdwn" and 0 < len(t["text"]) <= 3_000 for t in texts),
        "unknown field": data.keys() <= {"text", "blocks"},
    }


def _pagerduty(data: Any) -> dict[str, bool]:
    """developer.pagerduty.com: Events API v2, `POST /v2/enqueue`."""
    payload = data.get("payload", {})
    common = {
        "routing_key": data.get("routing_key") == KEY,
        "event_action": data.get("event_action") in {"trigger", "acknowledge", "resolve"},
        "dedup_key": 0 < len(data.get("dedup_key", "")) <= 255,
    }
    if data.get("event_action") != "trigger":
        return common
    return common | {
        "payload.summary": 0 < len(payload.get("summary", "")) <= 1_024,
        "payload.source": bool(payload.get("source")),
        "payload.severity": payload.get("severity") in {"critical", "error", "warning", "info"},
        "payload.timestamp": datetime.fromisoformat(payload["timestamp"]).tzinfo is not None,
        "payload.custom_details": isinstance(payload.get("custom_details"), dict),
    }


_CHECKS = {"/services/T/B/X": _slack, "/v2/enqueue": _pagerduty}


@contextmanager
def receiver() -> Iterator[tuple[Receiver, str]]:
    """A receiver, and its address."""
    found = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, text, extra = found.answer(self.path, dict(self.headers), body)
            self.send_response(status)
            for name, value in {"Content-Length": str(len(text)), **extra}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield found, f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
