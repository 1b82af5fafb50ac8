"""How a command line of this project runs its commands, and what becomes of their errors.

Status: 0 done, 1 failed, 2 what was given is wrong, 130 interrupted.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable

import click

from marketpipeline.errors import InvalidInput, MarketPipelineError

__all__ = ["run_commands"]


def run_commands(
    group: click.Group,
    name: str | None = None,
    *,
    missing: Callable[[ModuleNotFoundError], MarketPipelineError] | None = None,
) -> None:
    """Run the commands of a group that its users call `name`, and end the process.

    `missing` says what has to be installed where a library is absent. A warning that a library or a part of this
    package logs belongs in the log of a process, which sets one up. A command on a terminal says itself what its user
    has to know.
    """
    logging.getLogger().addHandler(logging.NullHandler())
    try:
        status = group.main(prog_name=name, standalone_mode=False)
    except click.ClickException as error:
        error.show()
        status = error.exit_code
    except (click.exceptions.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        status = 130
    except BrokenPipeError:
        _leave_the_pipe()
        status = 0
    except ModuleNotFoundError as error:
        if missing is None:
            raise
        click.echo(f"error: {missing(error)}", err=True)
        status = 1
    except MarketPipelineError as error:
        click.echo(f"error: {error}", err=True)
        status = 2 if isinstance(error, InvalidInput) else 1
    sys.exit(status if isinstance(status, int) else 0)


def _leave_the_pipe() -> None:
    """Whoever read our output has had enough (`| head`): let nothing be written at exit either."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
