"""Pages: walked from one to the next they are the whole, in its order, each row once."""

from __future__ import annotations

from typing import Any

import pytest
from marketpipeline.api.paging import read_cursor
from marketpipeline.store.rows import json_of

from tests.services.api.serving import Api, Stores
from tests.services.sinks.samples import START, alert, book

BOOK, ALERTS = "/api/v1/analytics/book/BTCUSDT", "/api/v1/analytics/alerts"


async def walk(api: Api, path: str, rows: str, **parameters: Any) -> list[list[dict[str, Any]]]:
    pages: list[list[dict[str, Any]]] = []
    cursor: dict[str, str] = {}
    while True:
        body = await api.get(path, **parameters, **cursor)
        pages.append(body[rows])
        assert len(pages) < 100, "it does not end"
        if body["next"] is None:
            return pages
        cursor = {"cursor": body["next"]}


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 7, 30, 31])
async def test_every_row_once_though_many_have_the_same_time(api: Api, stores: Stores, limit: int) -> None:
    times = sorted([0] * 5 + [1] * 4 + [2] + [3] * 9 + list(range(4, 12)) + [20] * 3)
    alerts = [alert(time, id=f"alert-{number:02}", event_time=START + number) for number, time in enumerate(times)]
    rows = [book(0, event_time=START + time * 1_000_000, update_id=number) for number, time in enumerate(times)]
    stores.put(*alerts, *rows)
    newest_first = [json_of(record) for record in reversed(alerts)]
    pages = await walk(api, ALERTS, "alerts", limit=limit)
    assert [row for page in pages for row in page] == newest_first
    assert all(len(page) == limit for page in pages[:-1])
    span = {"from": "2024-08-08T23:54:01.000000Z", "to": "2024-08-08T23:54:20.000000Z"}
    inside = [row for row in newest_first if span["from"] <= row["started_at"] < span["to"]]
    assert [row for page in await walk(api, ALERTS, "alerts", limit=limit, **span) for row in page] == inside
    forwards = [json_of(record) for record in rows]
    pages = await walk(api, BOOK, "book", limit=limit, **{"from": "2024-08-08T23:54:00Z"})
    assert [row for page in pages for row in page] == forwards
    backwards = await walk(api, BOOK, "book", limit=limit)
    assert [row for page in reversed(backwards) for row in page] == forwards, "each page is in order of time"


async def test_the_next_page_is_a_link_too(api: Api, stores: Stores) -> None:
    stores.put(*(book(number) for number in range(5)))
    answer = await api.client.get(BOOK, params={"limit": 2}, headers={"Accept": "text/csv"})
    address = answer.headers["link"].removeprefix("<").removesuffix('>; rel="next"')
    assert "limit=2" in address
    assert "cursor=" in address
    last = await api.client.get(address, headers={"Accept": "text/csv"})
    assert len(last.text.splitlines()) == 3
    assert "link" not in (await api.client.get(BOOK)).headers


@pytest.mark.parametrize("text", ["", "1", "x-1", "1-", "1-x", "9" * 18 + "-1", "-1-1", "1-100000"])
def test_what_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be the `next` of an answer"):
        read_cursor(text)
