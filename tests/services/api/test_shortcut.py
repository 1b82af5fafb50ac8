"""A query that was found right is answered by the short way, everything else by the framework's."""

from __future__ import annotations

from typing import Annotated, Any

import httpx
from fastapi import FastAPI, Query, Request
from marketpipeline.api import problems
from marketpipeline.api.shortcut import Shortcut
from marketpipeline.errors import RetryableError
from starlette.responses import Response

PATH = "/api/v1/some"


class Answering:
    """An application with one path, which counts the requests that it read itself."""

    def __init__(self) -> None:
        self.app, self.read, self.away = FastAPI(), 0, False
        self.shortcut = Shortcut(PATH, self.answer)
        self.app.state.readers = None
        self.app.router.routes.append(self.shortcut)
        problems.install(self.app)

        @self.app.get(PATH)
        async def some(request: Request, number: Annotated[int, Query()]) -> Response:
            self.read += 1
            self.shortcut.note(request.scope, number)
            return await self.answer(None, number)

    async def answer(self, readers: Any, number: int) -> Response:
        if self.away:
            raise RetryableError("the store is away")
        return Response(str(number))

    async def ask(self, method: str = "GET", query: str = "number=1") -> httpx.Response:
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
            return await client.request(method, f"{PATH}?{query}")


async def test_a_query_is_read_once() -> None:
    some = Answering()
    assert [(await some.ask()).text for _ in range(3)] == ["1"] * 3
    assert (await some.ask(query="number=2")).text == "2"
    assert some.read == 2
    assert list(some.app.openapi()["paths"]) == [PATH]


async def test_what_is_wrong_and_other_methods_go_the_frameworks_way() -> None:
    some = Answering()
    await some.ask()
    assert [(await some.ask(query="number=x")).status_code for _ in range(2)] == [400, 400]
    assert (await some.ask("POST")).status_code == 405


async def test_errors_are_told_as_on_the_frameworks_way() -> None:
    some = Answering()
    await some.ask()
    some.away = True
    short, long = await some.ask(), await some.ask(query="number=2")
    assert (some.read, short.status_code, short.content) == (2, 503, long.content)
    assert short.headers["Retry-After"] == long.headers["Retry-After"]


async def test_what_is_noted_is_bounded() -> None:
    some = Answering()
    for number in range(5_000):
        some.shortcut.note({"query_string": b"number=%d" % number}, number)
    some.shortcut.note({"query_string": b"number=" + b"0" * 2_000}, 0)
    assert (await some.ask(query="number=0")).text == (await some.ask(query="number=4999")).text.replace("4999", "0")
    assert some.read == 1, "the first is forgotten, the last is not"
