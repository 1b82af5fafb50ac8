"""URLs of the spec: what is refused, and in which words."""

from __future__ import annotations

from typing import Annotated

import pytest
from marketpipeline.schema import ADDRESSES, TextRule, TextRules, Url
from marketpipeline.sink_kinds.redis import RedisSinkSpec
from marketpipeline.sink_kinds.timescale import TimescaleSinkSpec
from pydantic import BaseModel, StringConstraints, TypeAdapter, ValidationError


class Folder(BaseModel):
    url: Annotated[str, Url("file", host=False)]


def refusal(model: type[BaseModel], url: str) -> str | None:
    try:
        model.model_validate({"url": url})
    except ValidationError as error:
        return error.errors()[0]["msg"].removeprefix("Value error, ")
    return None


@pytest.mark.parametrize(
    ("model", "url"),
    [
        (RedisSinkSpec, "redis://redis"),
        (RedisSinkSpec, "rediss://cache@redis:6380/2?protocol=3"),
        (RedisSinkSpec, "redis://[fd00::1]:65535/15"),
        (TimescaleSinkSpec, "postgresql://u@db/market"),
        (TimescaleSinkSpec, "postgresql://u@db-1:5432,db-2:5433/market?target_session_attrs=read-write"),
        (Folder, "file:///data/lines"),
    ],
)
def test_urls_that_are_right(model: type[BaseModel], url: str) -> None:
    assert refusal(model, url) is None


PASSWORD = "must not contain a password; put it in a Secret and name that in passwordSecret"
REDIS = "must have the form redis://host[:port][/number of the database], with a port from 1 to 65535"


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://redis", "must be a URL that starts with redis:// or rediss://"),
        ("redis://u:pa:ss@redis", PASSWORD),
        ("redis://u:s3cret/x@redis", PASSWORD),
        ("redis://:x@redis", PASSWORD),
        ("redis://redis?password=x", PASSWORD),
        ("redis://redis/cache", REDIS),
        ("redis://redis:65536", REDIS),
        ("redis://redis:0", REDIS),
        ("redis:///0", REDIS),
        ("redis://re dis", REDIS),
        ("redis://redis/0#part", REDIS),
    ],
)
def test_urls_that_are_wrong(url: str, says: str) -> None:
    assert refusal(RedisSinkSpec, url) == says


@pytest.mark.parametrize(
    ("text", "right"),
    [("kafka:9092", True), ("[::1]:9092,b:1", True), ("kafka:65536", False), ("kafka", False), ("a:1,", False)],
)
def test_addresses(text: str, right: bool) -> None:
    adapter = TypeAdapter(Annotated[str, StringConstraints(pattern=ADDRESSES)])
    if right:
        assert adapter.validate_python(text) == text
    else:
        with pytest.raises(ValidationError):
            adapter.validate_python(text)


def test_the_first_rule_that_does_not_hold_is_told() -> None:
    rules = TextRules(TextRule("^a", "must begin with a"), TextRule("b$", "must not end with b", wrong=True))
    assert rules.check("ac") == "ac"
    for text, says in (("cb", "must begin with a"), ("ab", "must not end with b")):
        with pytest.raises(ValueError, match=says):
            rules.check(text)
