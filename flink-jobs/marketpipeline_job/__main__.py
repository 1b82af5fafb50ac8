"""`python -m marketpipeline_job --config job.json [--print-sql | --prepare]`."""

from __future__ import annotations

import argparse
import sys

if __name__ == "__main__" and not sys.flags.safe_path:
    del sys.path[0]  # the working folder: a redis.py in it is not the one that is meant

from pathlib import Path

from marketpipeline.errors import InvalidInput, MarketPipelineError
from marketpipeline.settings import JobSettings
from pydantic import SecretStr

from marketpipeline_job.job import script

__all__ = ["main"]


def main() -> int:
    """Status 0 when it was stopped or handed over, 2 for a wrong input, 1 for any other failure."""
    parser = argparse.ArgumentParser(prog="marketpipeline_job", description="The stream job of a MarketPipeline.")
    parser.add_argument("--config", required=True, type=Path, metavar="FILE", help="JSON of its settings")
    parser.add_argument("--print-sql", action="store_true", help="print what would run, and end")
    parser.add_argument("--prepare", action="store_true", help="keep what a start on this machine needs, and end")
    arguments = parser.parse_args()
    try:
        settings = JobSettings.load(arguments.config)
        if arguments.print_sql:
            sys.stdout.write(script(_without_password(settings)).text())
            return 0
        from marketpipeline_job.runtime.main import prepare, run  # printing needs no Flink
        from marketpipeline_job.runtime.places import Places

        if arguments.prepare:
            prepare(settings, Places())
            return 0
        return run(settings, Places())
    except MarketPipelineError as error:
        sys.stderr.write(f"{error}\n")
        return 2 if isinstance(error, InvalidInput) else 1


def _without_password(settings: JobSettings) -> JobSettings:
    secrets = {name: SecretStr("***") for name in ("password", "key") if getattr(settings.kafka, name) is not None}
    return settings.model_copy(update={"kafka": settings.kafka.model_copy(update=secrets)})


if __name__ == "__main__":
    sys.exit(main())
