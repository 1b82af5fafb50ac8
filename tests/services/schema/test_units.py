"""Durations, and quantities as Kubernetes writes them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from marketpipeline.schema import (
    Resources,
    cpu_millis,
    memory_bytes,
    microseconds,
    milliseconds,
    quantity,
    retention_milliseconds,
    seconds,
)
from pydantic import ValidationError


@pytest.mark.parametrize(
    ("text", "value"),
    [("250ms", 250), ("1s", 1_000), ("90s", 90_000), ("2m", 120_000), ("3h", 10_800_000), ("7d", 604_800_000)],
)
def test_durations(text: str, value: int) -> None:
    assert milliseconds(text) == value
    assert microseconds(text) == value * 1_000
    assert seconds(text) == value / 1_000


@pytest.mark.parametrize(
    "text", ["", "5", "s", "0s", "-1s", "1.5s", "5 s", "5S", "5w", "1m30s", "5s\n", "9999999999s", "999999d"]
)
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        milliseconds(text)


def test_the_longest_duration_is_one_that_a_store_can_subtract_from_now() -> None:
    assert (datetime.now(UTC) - timedelta(milliseconds=milliseconds("99999d"))).year > 1_700


def test_forever_is_no_limit() -> None:
    assert retention_milliseconds("forever") is None
    assert retention_milliseconds("1d") == 86_400_000
    with pytest.raises(ValueError, match="is not a duration"):
        retention_milliseconds("never")


@pytest.mark.parametrize(
    ("text", "millis"), [("1", 1_000), ("0.5", 500), (".25", 250), ("2.", 2_000), ("500m", 500), ("1500m", 1_500)]
)
def test_cpu(text: str, millis: int) -> None:
    assert cpu_millis(Resources(cpu=text).cpu) == millis


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("512M", 512_000_000),
        ("512Mi", 536_870_912),
        ("1.5Gi", 1_610_612_736),
        ("1e9", 10**9),
        ("1E9", 10**9),
        ("1.0000007M", 1_000_001),
        ("1073741824", 2**30),
        ("2000k", 2_000_000),
        ("1Ti", 2**40),
    ],
)
def test_memory(text: str, size: int) -> None:
    assert memory_bytes(Resources(memory=text).memory) == size


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("cpu", "1Gi", "is an amount of memory; write CPU cores: 500m, 0.5 or 2"),
        ("cpu", "1k", "is an amount of memory; write CPU cores: 500m, 0.5 or 2"),
        ("cpu", "0m", "must be CPU cores, from 1m to 9999: 500m, 0.5 or 2"),
        ("cpu", "0.0005", "must be CPU cores, from 1m to 9999: 500m, 0.5 or 2"),
        ("cpu", "two", "must be CPU cores, from 1m to 9999: 500m, 0.5 or 2"),
        ("cpu", 0.5, "must stand in quotes: '0.5'"),
        ("memory", "512m", "is in thousandths, as CPU is; write memory: 512Mi, 512M or 1e9"),
        ("memory", "512", "is less than a megabyte; write its unit: 512Mi, 512M or 1e9"),
        ("memory", 512, "is less than a megabyte; write its unit: 512Mi, 512M or 1e9"),
        ("memory", "1e3", "must be an amount of memory, at least a megabyte: 512Mi, 512M or 1e9"),
        ("memory", "1e99", "must be an amount of memory, at least a megabyte: 512Mi, 512M or 1e9"),
        ("memory", "0Gi", "must be an amount of memory, at least a megabyte: 512Mi, 512M or 1e9"),
        ("memory", "512MB", "must be an amount of memory, at least a megabyte: 512Mi, 512M or 1e9"),
    ],
)
def test_the_wrong_sort_is_refused_by_name(field: str, value: object, says: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Resources.model_validate({field: value})
    (problem,) = caught.value.errors()
    assert (problem["loc"], problem["msg"]) == ((field,), f"Value error, {says}")


def test_quantities_of_the_api_server_are_compared_by_value() -> None:
    assert quantity("500m") == quantity("0.5") == Decimal("0.5")
    assert quantity("1536Mi") == quantity("1.5Gi")
    with pytest.raises(ValueError, match="is not a quantity"):
        quantity("1 Gi")
