"""`marketpipeline archive` and `restore`: days moved by hand between the database and the archive."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import click

from marketpipeline.errors import InvalidInput, Problem
from marketpipeline.settings import TiersSettings
from marketpipeline.sinks.tiers.main import mover
from marketpipeline.sinks.tiers.moving import Moved, Mover

__all__ = ["archive", "restore"]


def _options(command: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option("--from", "since", required=True, metavar="DAY", help="First day, as 2026-08-01, UTC."),
        click.option("--to", "until", required=True, metavar="DAY", help="Day after the last one."),
        click.option(
            "--config", required=True, type=click.Path(path_type=Path), help="Settings of the job `tiers` (see `plan`)."
        ),
    ):
        command = option(command)
    return command


@click.command()
@_options
def archive(since: str, until: str, config: Path) -> None:
    """Move days from the database to the archive, which gets first what it lacks of them.

    Status 1 when a day had to be kept back; the reason is shown.
    """
    _move(since, until, config, lambda moving, first, last: moving.archive(first, last))


@click.command()
@_options
@click.option("--keep", type=click.IntRange(1, 3_650), default=7, show_default=True, help="Days that they stay.")
def restore(since: str, until: str, config: Path, keep: int) -> None:
    """Bring days back from the archive, which keeps them, into the database."""
    stays = datetime.now(UTC) + timedelta(days=keep)
    _move(since, until, config, lambda moving, first, last: moving.restore(first, last, stays))


def _move(since: str, until: str, config: Path, how: Callable[[Mover, date, date], Moved]) -> None:
    first, last = _days(since, until)
    with mover(TiersSettings.load(config), "marketpipeline-cli") as moving:
        moved = how(moving, first, last)
    for (table, day), rows in sorted(moved.days.items()):
        click.echo(f"{day} {table}: {rows:,} rows")
    for (table, day), reason in sorted(moved.kept_back.items()):
        click.echo(f"{day} {table}: kept back: {reason}", err=True)
    if not moved.days and not moved.kept_back:
        click.echo("nothing to move", err=True)
    sys.exit(1 if moved.kept_back else 0)


def _days(since: str, until: str) -> tuple[date, date]:
    problems, found = [], []
    for option, text in (("--from", since), ("--to", until)):
        try:
            found.append(date.fromisoformat(text))
        except ValueError:
            problems.append(Problem(option, text, "must be a day as 2026-08-01"))
    if not problems and found[0] >= found[1]:
        problems.append(Problem("--to", until, f"must be later than --from ({since})"))
    if problems:
        raise InvalidInput("days", problems)
    return found[0], found[1]
