"""What the paths take and share: types of parameters that say what would be right, the stores, how JSON is written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

import msgspec
from fastapi import Depends, Request, Response
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)
from pydantic.json_schema import SkipJsonSchema
from pydantic_core import CoreSchema
from pydantic_core.core_schema import (
    int_schema,
    no_info_after_validator_function,
    no_info_wrap_validator_function,
)

from marketpipeline.readers import Readers, Span
from marketpipeline.readers.asking import choose, find_symbol, read_time
from marketpipeline.store.rows import iso

__all__ = [
    "Asked",
    "FromOneTo",
    "KnownSymbol",
    "NoQuery",
    "OneOf",
    "Optional",
    "QueryTime",
    "Several",
    "SpanQuery",
    "answer",
]

_TIME = "ISO 8601 (UTC when it names no zone), or seconds, milliseconds or microseconds since 1970."

Optional = SkipJsonSchema[None]
"""The type of an absent parameter, beside the type of a present one: it is never null."""

QueryTime = Annotated[datetime, BeforeValidator(read_time), WithJsonSchema({"type": "string", "format": "date-time"})]
"""A time in UTC."""


@dataclass(frozen=True, slots=True, eq=False)
class OneOf:
    """Annotates a parameter that is one of a few words."""

    what: str
    known: Sequence[str]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return handler(schema) | {"enum": list(self.known)}

    def _check(self, text: str) -> str:
        return choose(self.what, text, self.known)


@dataclass(frozen=True, slots=True, eq=False)
class KnownSymbol:
    """Annotates a parameter that is a symbol, with or without its exchange; its value has the exchange."""

    known: Sequence[str]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return no_info_after_validator_function(self._check, handler(source))

    def _check(self, text: str) -> str:
        return find_symbol(text, self.known)


@dataclass(frozen=True, slots=True, eq=False)
class FromOneTo:
    """Annotates a whole number from 1 to `most`."""

    most: int

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return no_info_wrap_validator_function(self._check, int_schema(ge=1, le=self.most))

    def _check(self, value: Any, proceed: Callable[[Any], int]) -> int:
        try:
            return proceed(value)
        except ValidationError:
            raise ValueError(f"must be a whole number from 1 to {self.most}") from None


@dataclass(frozen=True, slots=True, eq=False)
class Several:
    """Annotates a list with commas between; `read` gives the whole name of each, or raises ValueError."""

    read: Callable[[str], str]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return no_info_after_validator_function(self._check, handler(source))

    def _check(self, text: str) -> str:
        """Each once, in the order given."""
        return ",".join(dict.fromkeys(self._one(name.strip()) for name in text.split(",")))

    def _one(self, name: str) -> str:
        try:
            return self.read(name)
        except ValueError as error:
            raise ValueError(f"{name or 'an empty name'}: {error}") from error


class NoQuery(BaseModel):
    """No parameters at all; one that is given is told, since leaving it out would answer another question."""

    model_config = ConfigDict(extra="forbid")


class SpanQuery(NoQuery):
    """A stretch of time."""

    since: QueryTime | Optional = Field(
        None,
        alias="from",
        description=f"Beginning, included. {_TIME}",
        examples=["2024-08-08T23:54:00Z"],
    )
    until: QueryTime | Optional = Field(
        None, alias="to", description=f"End, not included. {_TIME}", examples=["1723161600000"]
    )

    @field_validator("until", mode="after")
    @classmethod
    def _in_order(cls, until: datetime | None, info: ValidationInfo) -> datetime | None:
        since = info.data.get("since")
        if since is not None and until is not None and since >= until:
            raise ValueError(f"must be later than `from` ({iso(since)})")
        return until

    def span(self, limit: int | None = None) -> Span:
        """The stretch, with at most `limit` rows of it."""
        return Span(self.since, self.until, limit)


async def _readers(request: Request) -> Readers:
    """Not a plain function: that would be called in another thread."""
    readers: Readers = request.app.state.readers
    return readers


Asked = Annotated[Readers, Depends(_readers)]
"""The stores of the application."""


def answer(body: Any, status: int = 200) -> Response:
    """JSON, written from rows as they are: to validate them again would cost more than to read them."""
    return Response(msgspec.json.encode(body), status, media_type="application/json")
