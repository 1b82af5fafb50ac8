"""What a user writes to say what is to happen and when."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
import pytest
from marketpipeline.errors import InvalidInput
from marketpipeline.simulator.schedule import Planned, Schedule, build, parse

KNOWN = ["gap", "slow", "whale"]


class Thing(msgspec.Struct, forbid_unknown_fields=True):
    side: Literal["buy", "sell"] = "buy"
    count: Annotated[int, msgspec.Meta(ge=1, le=10)] = 1
    seconds: Annotated[float, msgspec.Meta(ge=0)] = 1.0


@pytest.mark.parametrize(
    ("text", "planned"),
    [
        ("gap", Planned("gap", {}, 0.0)),
        ("gap@0s", Planned("gap", {}, 0.0)),
        ("gap@30s", Planned("gap", {}, 30.0)),
        ("gap:stream=a@depth@100ms,count=2@5s", Planned("gap", {"stream": "a@depth@100ms", "count": "2"}, 5.0)),
        ("gap:stream=a@trade", Planned("gap", {"stream": "a@trade"}, 0.0)),
        ("gap:stream=a@trade@1m", Planned("gap", {"stream": "a@trade"}, 60.0)),
        ("gap@1500ms", Planned("gap", {}, 1.5)),
        ("whale:symbol=BTCUSDT,notional=3@2m", Planned("whale", {"symbol": "BTCUSDT", "notional": "3"}, 120.0)),
    ],
)
def test_reading(text: str, planned: Planned) -> None:
    assert parse(text, "fault", KNOWN) == planned


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("gpa@3s", "did you mean 'gap'? known: gap, slow, whale"),
        ("", "known: gap, slow, whale"),
        ("gap@soon", "the time after @ is wrong"),
        ("gap@", "the time after @ is wrong"),
        ("gap:count@3s", "'count' must be KEY=VALUE"),
    ],
)
def test_what_cannot_be_read(text: str, said: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse(text, "fault", KNOWN)
    assert said in str(caught.value)


def test_parameters_from_text() -> None:
    assert build(Thing, {"side": "sell", "count": "3", "seconds": "0.5"}, "thing") == Thing("sell", 3, 0.5)
    assert build(Thing, {}, "thing") == Thing()


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"side": "up"}, "thing.side: 'up': must be one of buy, sell"),
        ({"count": "0"}, "thing.count: '0': must be `int` >= 1"),
        ({"count": "many"}, "thing.count: 'many': must be `int`"),
        ({"cuont": "1"}, "thing.cuont: '1': did you mean 'count'? known: count, seconds, side"),
    ],
)
def test_parameters_that_are_wrong(parameters: dict[str, str], said: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        build(Thing, parameters, "thing")
    assert said in str(caught.value)


def test_each_happens_once_and_in_order() -> None:
    schedule = Schedule([Planned("b", {}, 2.0), Planned("a", {}, 1.0), Planned("c", {}, 9.0)])
    assert schedule.next_at == 1.0
    assert schedule.due(0.5) == []
    assert [one.name for one in schedule.due(5.0)] == ["a", "b"]
    assert schedule.due(5.0) == []
    assert schedule.next_at == 9.0
    assert [one.name for one in schedule.due(9.0)] == ["c"]
    assert schedule.next_at is None
