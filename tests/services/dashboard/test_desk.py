"""The desk over an API that serves HTTPS and asks for a key: what it asks and follows, and says when it cannot."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from marketpipeline.dashboard.client import NoAnswer
from marketpipeline.dashboard.desk import Desk
from marketpipeline.errors import InvalidInput
from marketpipeline.settings import DashboardSettings
from marketpipeline.topics import TopicKind

from tests.conftest import wait_for
from tests.services.api.serving import Stores, listening, stores  # noqa: F401
from tests.services.dashboard.test_stream import BOOK, telling
from tests.services.sinks.samples import BTC, ETH, alert, book, candle, raw_book
from tests.services.sinks.topics import Topics
from tests.support.broker import RunningBroker
from tests.support.certificates import Authority

KEY = "the-key-of-the-dashboard"
ASKED: dict[str, Any] = {"symbols": [BTC, ETH], "windows": ["1m", "5m"], "feeds": ["book", "trades"]}


@asynccontextmanager
async def desk_of(address: str, ca: str | None, key: str | None = KEY) -> AsyncIterator[Desk]:
    access = {"url": f"https://{address}", "ca": ca, "key": key}
    desk = Desk(DashboardSettings(pipeline="test", api=access, **ASKED))
    desk.start()
    try:
        yield desk
    finally:
        desk.close()


async def until(condition: Any, what: str) -> Any:
    """Waits in another thread: the API is served by this one."""
    return await asyncio.to_thread(wait_for, condition, what)


async def test_history_and_stream_over_https_with_a_key(
    stores: Stores,  # noqa: F811
    broker: RunningBroker,
    tmp_path: Path,
) -> None:
    keys, tls = tmp_path / "keys", tmp_path / "tls"
    keys.mkdir()
    tls.mkdir()
    (keys / "dashboard").write_text(KEY)
    authority = Authority(tmp_path / "authority")
    issued = authority.issue("api", "IP:127.0.0.1")
    (tls / "tls.crt").write_bytes(issued.certificate.read_bytes())
    (tls / "tls.key").write_bytes(issued.key.read_bytes())
    ca = authority.certificate.read_text()
    stores.put(candle(0, closed=True), candle(1), alert(0))
    topics = Topics(broker)
    topics.create(TopicKind.BOOK)
    settings = stores.settings(
        kafka=topics.kafka, topic_prefix=topics.prefix, keys_folder=keys, tls_folder=tls, **ASKED
    )
    async with listening(settings) as address, desk_of(address, ca) as desk:
        rows = await asyncio.to_thread(desk.candles, BTC, "1m")
        assert [row["closed"] for row in rows] == [True, False]
        assert len(await asyncio.to_thread(desk.alerts)) == 1
        await until(lambda: desk.problem is None, "the stream is live")
        desk.watch(ETH)
        await asyncio.to_thread(
            topics.put, book(1), candle(1, trades=500), alert(1, ETH), raw_book(1, ETH), raw_book(1, BTC)
        )
        await until(lambda: desk.market.levels(ETH), "the levels of what is watched")
        assert desk.market.levels(BTC) is None, "nobody looks at it"
        await until(lambda: desk.market.book(BTC) and len(desk.alerts()) == 2, "measures and alerts")
        await until(lambda: desk.candles(BTC, "1m")[-1]["trades"] == 500, "the candle that forms")
        desk.watch(BTC)
        await until(lambda: desk.market.levels(BTC), "another symbol")
        with pytest.raises(NoAnswer, match=r"limit must be a whole number from 1 to 1000") as refused:
            await asyncio.to_thread(desk.ask, "analytics/alerts", 1.0, limit=10**6)
        assert refused.value.status == 400
        async with desk_of(address, ca, key=None) as nobody:
            with pytest.raises(NoAnswer, match="an API key is needed"):
                await asyncio.to_thread(nobody.candles, BTC, "1m")
            await until(lambda: nobody.problem == "the API refuses the stream with 401", "it says why")
        async with desk_of(address, None) as distrustful:
            with pytest.raises(NoAnswer, match="certificate verify failed"):
                await asyncio.to_thread(distrustful.alerts)


def test_certificates_that_are_none_are_named() -> None:
    with pytest.raises(InvalidInput, match=r"api\.ca: 'nonsense': must be certificates in PEM form"):
        Desk(DashboardSettings(pipeline="test", api={"url": "https://h:1", "ca": "nonsense"}, **ASKED))


def test_levels_are_followed_while_somebody_looks_and_forgotten_when_their_stream_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("marketpipeline.dashboard.desk._WATCHED_SECONDS", 2.0)
    with telling([BOOK]) as told:
        desk = Desk(DashboardSettings(pipeline="test", api={"url": told.url.replace("ws", "http")}, **ASKED))
        desk._levels.start()

        def looking(at: Sequence[str], condition: Callable[[], Any], what: str) -> None:
            def is_so() -> bool:
                for symbol in at:
                    desk.watch(symbol)
                return bool(condition())

            wait_for(is_so, what)

        looking([BTC], lambda: desk.market.levels(BTC), "the levels of what is watched")
        told.turns[0] = []
        told.open[0].close()
        looking([BTC], lambda: len(told.asked) == 2, "another connection")
        assert [(asked["symbols"], asked.get("last_id")) for asked in told.asked] == [(BTC, None)] * 2
        assert desk.market.levels(BTC) is None, "the old book is no book"
        told.turns[0] = [BOOK]
        looking([BTC, ETH], lambda: len(told.asked) == 3 and desk.market.levels(BTC), "both")
        looking([ETH], lambda: told.asked[-1]["symbols"] == ETH, "only what is still watched")
        wait_for(lambda: not told.open, "nobody looks: no stream")
        assert desk.market.levels(BTC) is None
        assert [asked["symbols"] for asked in told.asked] == [BTC, BTC, f"{BTC},{ETH}", ETH]
        desk.close()


def test_an_answer_is_kept_and_an_api_that_is_away_is_not_asked_again_at_once() -> None:
    desk = Desk(DashboardSettings(pipeline="test", api={"url": "http://127.0.0.1:9"}, **ASKED))
    with pytest.raises(NoAnswer, match=r"^the API does not answer: Connection refused$") as first:
        desk.alerts()
    with pytest.raises(NoAnswer) as second:
        desk.alerts()
    assert second.value.__cause__ is first.value.__cause__
    desk.close()
