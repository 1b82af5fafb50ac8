"""Write the golden SQL anew: `flink-jobs/.venv/bin/python -m tests.flink_jobs.regenerate`, from the project's root."""

from __future__ import annotations

from pathlib import Path

from marketpipeline_job.job import script

from tests.flink_jobs.examples import GOLDEN

FOLDER = Path(__file__).with_name("golden")


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, settings in GOLDEN.items():
        (FOLDER / name).write_text(script(settings).text())


if __name__ == "__main__":
    main()
