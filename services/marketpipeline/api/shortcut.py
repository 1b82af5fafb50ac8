"""A short way to a path that is asked often: a query that was found right before is answered without being read anew.

To find the path, read the parameters and check them costs FastAPI more than the answer does, and what a query says does
not change while the process runs. So the path notes what each query string was found to ask. This route stands before
all others and takes the requests whose query string is noted; all others, and with them everything that is wrong, go
the framework's way. Both ways have the same middleware around them and the same answers to errors.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.responses import Response
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

from marketpipeline.readers import Readers

__all__ = ["Shortcut"]

_MOST = 4_096
"""Query strings that are noted; the one that was noted first is forgotten first."""
_LONGEST = 1_024
"""Bytes of one: a longer one is not noted."""


class Shortcut(BaseRoute):
    """Answers GET of `path`, as it is in the document, by `answer` from the stores and what is asked."""

    def __init__(self, path: str, answer: Callable[[Readers, Any], Awaitable[Response]]) -> None:
        self.path = self.path_format = path
        self._answer = answer
        self._asked: OrderedDict[bytes, Any] = OrderedDict()

    def note(self, scope: Scope, asked: Any) -> None:
        """A request came the framework's way and was found right: what its query string asks."""
        query: bytes = scope["query_string"]
        if len(query) <= _LONGEST:
            self._asked[query] = asked
            if len(self._asked) > _MOST:
                self._asked.popitem(last=False)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """As the base has it; the route is what requests are counted by."""
        right = scope["type"] == "http" and scope["path"] == self.path and scope["method"] == "GET"
        if right and scope["query_string"] in self._asked:
            return Match.FULL, {"route": self}
        return Match.NONE, {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As the base has it."""
        response = await self._answer(scope["app"].state.readers, self._asked[scope["query_string"]])
        await response(scope, receive, send)
