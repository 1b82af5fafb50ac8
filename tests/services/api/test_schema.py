"""The document against the paths, by schemathesis: requests that follow it, and ones that do not."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.services.api.serving import Stores, listening
from tests.services.sinks.samples import alert, book, candle, quote, ticker, trade

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
EXAMPLES = 8
"""Requests of each path and sort; they are the same in every run."""
NOT_THERE = 501
"""What this application has not: a server's error by its number, and an answer by its meaning."""


def ask_everything(address: str) -> set[str]:
    """The paths that were asked."""
    schema = schemathesis.openapi.from_url(f"{address}/openapi.json")
    asked = set()
    for found in schema.get_all_operations():
        assert isinstance(found, Ok)
        operation = found.ok()
        for mode in GenerationMode if list(operation.iter_parameters()) else [GenerationMode.POSITIVE]:

            @settings(
                max_examples=EXAMPLES, deadline=None, database=None, derandomize=True, phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )  # fmt: skip
            @given(case=operation.as_strategy(generation_mode=mode))
            def ask(case: Case[Any]) -> None:
                response = case.call()
                checks = CHECKS[1:] if response.status_code == NOT_THERE else CHECKS
                case.validate_response(response, checks=checks)

            ask()
        asked.add(operation.path)
    return asked


@pytest.mark.timeout(120)
async def test_no_request_gives_a_500_and_every_answer_is_as_the_document_says(stores: Stores) -> None:
    stores.put(trade(1), quote(1), book(1), ticker(1), candle(0), candle(1, interval="5m"), alert(0))
    async with listening(stores.settings(feeds=["book", "trades", "quotes", "tickers"])) as address:
        asked = await asyncio.to_thread(ask_everything, f"http://{address}")
    assert {"/api/v1/analytics/klines/{symbol}", "/api/v1/stream", "/api/v3/klines"} <= asked
    assert len(asked) >= 16
