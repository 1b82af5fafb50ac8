"""The whole script, against golden files, and what must hold for every script."""

from __future__ import annotations

from pathlib import Path

import pytest
from marketpipeline.topics import topic_name
from marketpipeline_job.job import script, sources

from tests.flink_jobs.examples import GOLDEN, job_settings
from tests.support.golden import check_golden

FOLDER = Path(__file__).with_name("golden")


@pytest.mark.parametrize("name", GOLDEN)
def test_golden(name: str) -> None:
    check_golden(FOLDER / name, script(GOLDEN[name]).text())


def test_no_golden_file_is_left_over() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(GOLDEN)


def test_it_is_a_function_of_the_settings() -> None:
    assert script(job_settings()).text() == script(job_settings()).text()


def test_a_table_is_made_once() -> None:
    made = [statement.split("(")[0].split()[-1] for statement in script(job_settings()).tables]
    assert len(made) == len(set(made))
    assert set(made) == {
        "book", "trades", "thresholds", "book_metrics", "candles", "alerts", "late", "dead_letters",
        "trade_statistics", "book_statistics",
    }  # fmt: skip


def test_without_a_feed_nothing_of_it_is_there() -> None:
    of_book = "\n".join(script(job_settings(feeds=["book"])).inserts)
    assert "INTO candles" not in of_book
    assert "trades_found" not in of_book
    of_trades = "\n".join(script(job_settings(feeds=["trades"])).inserts)
    assert "INTO book_metrics" not in of_trades
    assert "book_found" not in of_trades


def test_without_a_window_there_are_no_candles_and_no_trade_is_late() -> None:
    made = script(job_settings(windows=[]))
    assert not [insert for insert in made.inserts if "INTO candles" in insert or "INTO late" in insert]
    assert "FROM trades_found" in "\n".join(made.inserts)


@pytest.mark.parametrize("name", GOLDEN)
def test_the_topics_that_are_read_are_those_of_the_tables(name: str) -> None:
    settings = GOLDEN[name]
    read = {table for table in script(settings).tables if "'scan.startup.mode'" in table}
    assert len(read) == len(sources(settings))
    for kind in sources(settings):
        assert any(f"'topic' = '{topic_name(settings.topic_prefix, kind)}'" in table for table in read)


def test_what_state_follows_from_are_columns_and_queries_and_no_addresses() -> None:
    settings = job_settings(kafka={"bootstrap_servers": "secret-place:1"})
    queries = script(settings).queries()
    assert "secret-place" not in queries
    assert "CREATE TEMPORARY TABLE trades (" in queries
    assert all(view.query in queries for view in script(settings).views)
    assert all(function in queries for function in script(settings).functions)


@pytest.mark.parametrize("changed", [{"calculate": 5}, {"within_bps": 2.5}])
def test_state_belongs_to_what_is_measured(changed: dict[str, float]) -> None:
    assert script(job_settings()).queries() != script(job_settings(**changed)).queries()
