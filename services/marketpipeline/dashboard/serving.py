"""Streamlit's application in this process, the paths that a platform asks for, and the desk that its script finds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit
import uvicorn
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from streamlit import config

from marketpipeline.dashboard.desk import Desk
from marketpipeline.telemetry import Telemetry

__all__ = ["make_server", "the_desk"]

_OPTIONS = {
    "browser.gatherUsageStats": False,
    "client.showErrorDetails": "none",
    "client.toolbarMode": "viewer",
    "global.developmentMode": False,
    "logger.hideWelcomeMessage": True,
    "runner.fastReruns": True,
    "server.enableStaticServing": False,
    "server.fileWatcherType": "none",
    "server.headless": True,
    "theme.dark.primaryColor": "#6d96ff",
    "theme.dark.backgroundColor": "#0e131c",
    "theme.dark.secondaryBackgroundColor": "#171e2b",
    "theme.light.primaryColor": "#2f62e0",
}
_opened: list[Desk] = []


def the_desk() -> Desk:
    """The desk of this process: Streamlit runs its script anew for each viewer, and hands nothing to it."""
    return _opened[-1]


def make_server(desk: Desk) -> uvicorn.Server:
    """The server of the page, of health and of metrics."""
    _opened.append(desk)
    for name, value in _OPTIONS.items():
        if name in config.get_config_options():
            config.set_option(name, value)

    async def health(_: Request) -> Response:
        """Ready as soon as it serves: a page that says that the API is away is of use."""
        return JSONResponse({"status": "ok", "stream": desk.problem or "live"})

    async def live(_: Request) -> Response:
        return JSONResponse({"alive": True})

    async def metrics(_: Request) -> Response:
        return Response(Telemetry.prometheus(), media_type="text/plain; version=0.0.4; charset=utf-8")

    routes = [Route("/health", health), Route("/health/live", live), Route("/metrics", metrics)]
    app: Any = streamlit.App(Path(__file__).with_name("page.py"), routes=routes)
    http = desk.settings.http
    return uvicorn.Server(
        uvicorn.Config(
            app, host=http.host, port=http.port, log_config=None, access_log=False, server_header=False,
            ws_max_size=1 << 20, timeout_graceful_shutdown=2,
        )
    )  # fmt: skip
