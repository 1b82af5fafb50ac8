"""Set up everything that a run or a test needs, once: `make setup`, and first thing in `make run` and `make test`.

A step is done again only when something that it was made from has changed: a stamp in .cache/stamps holds the hash of
those files. Standard library only, since nothing is installed yet.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import shutil
import sys
import time
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from installers import (
    BUILD_LOCK,
    CACHE,
    FLINK,
    ROOT,
    SERVICES,
    build_flink_jars,
    build_go_tools,
    call,
    copy_jars,
    install_extra,
    install_flink,
    install_node_packages,
    install_services,
    on_demand,
    stamp_of,
)
from toolchain import (
    SetupError,
    install_debian_package,
    require_python,
    require_toolchain,
    unpack_debian_packages,
)

__all__ = ["Step", "carry_out", "extra_steps", "extras_of", "main", "steps"]

_EXTRAS = {
    "api-image": ("what the API's image has", "nothing beside the lake's own"),
    "browser": ("Playwright", "45 MB to fetch, 130 MB on disk; 3 s, at 100 Mbit/s 6 s"),
    "dashboard": ("Streamlit", "115 MB to fetch, 400 MB on disk; 5 s, at 100 Mbit/s 15 s"),
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

    @property
    def stamp(self) -> Path:
        return CACHE / "stamps" / self.name

    def key(self) -> str:
        """Hash of all that the result depends on (environments hold absolute paths, so the place too)."""
        digest = hashlib.sha256(f"{sys.version_info[:3]} {ROOT}".encode())
        for path in self.inputs:
            digest.update(_what_counts(path))
        return digest.hexdigest()

    def is_done(self) -> bool:
        return self.gives.exists() and self.stamp.exists() and self.stamp.read_text() == self.key()


def _what_counts(path: Path) -> bytes:
    """A file's bytes; of a pyproject only what an installation is made from, since a lint's setting changes none."""
    if path.name != "pyproject.toml":
        return path.read_bytes()
    whole = tomllib.loads(path.read_text())
    parts = [whole["build-system"], whole["project"], whole["tool"]["hatch"]]
    return json.dumps(parts, sort_keys=True).encode()


def steps(*, for_tests: bool) -> list[Step]:
    """What is to be there, in order; what each costs was measured from empty caches (docs/decisions/0011)."""
    kafka, jobs, jars = ROOT / "third-party" / "kafka", ROOT / "flink-jobs", CACHE / "jars"
    java = jobs / "java"
    ours, theirs = ROOT / "pyproject.toml", ROOT / "flink-jobs" / "pyproject.toml"
    wanted = [
        Step(
            name="services",
            what="services, operator, PostgreSQL, Valkey and the test tools into .venv",
            costs="150 MB to fetch, 380 MB on disk; 10 s, at 100 Mbit/s 20 s",
            inputs=[BUILD_LOCK, ROOT / "locks" / "services.txt", ours],
            gives=SERVICES / "bin" / "marketpipeline",
            run=install_services,
        ),
        Step(
            name="flink",
            what="Flink and the stream job into flink-jobs/.venv",
            costs="490 MB to fetch, 770 MB on disk; 10 s, at 100 Mbit/s 50 s",
            inputs=[BUILD_LOCK, jobs / "lock.txt", ours, theirs],
            gives=FLINK / "bin" / "python",
            run=install_flink,
        ),
        Step(
            name="kafka-jars",
            what="Kafka's broker into .cache/jars/kafka",
            costs="55 MB to fetch, 44 MB on disk; 5 s, at 100 Mbit/s 10 s",
            inputs=[kafka / "pom.xml", kafka / "jars.sha256"],
            gives=jars / "kafka",
            run=partial(copy_jars, kafka, jars / "kafka"),
        ),
        Step(
            name="flink-jars",
            what="Flink's Kafka connector and the stream job's functions, compiled, into .cache/jars/flink",
            costs="35 MB to fetch, 11 MB on disk beside Maven's caches; 10 s",
            inputs=[
                jobs / "pom.xml",
                jobs / "jars.sha256",
                java / "pom.xml",
                *sorted(java.glob("src/main/**/*.java")),
            ],
            gives=jars / "flink" / "marketpipeline-functions.jar",
            run=partial(build_flink_jars, jobs, jars / "flink"),
        ),
    ]
    for_them = [
        *extra_steps(on_demand()),
        *_node_steps(),
        _s3_step(),
        _pgbouncer_step(),
        _prometheus_step(),
        _browser_step(),
        _tools_step(),
        _kubernetes_step(),
    ]
    return [*wanted, *for_them] if for_tests else wanted


def extra_steps(extras: Sequence[str]) -> list[Step]:
    """One step for each extra that is only installed where a pipeline, or a test, needs it."""
    return [
        Step(
            name=stamp_of(extra),
            what=f"{_EXTRAS[extra][0]} into .venv",
            costs=_EXTRAS[extra][1],
            inputs=[ROOT / "locks" / "services.txt", ROOT / "pyproject.toml"],
            gives=SERVICES / "bin" / "marketpipeline",
            run=partial(install_extra, extra),
        )
        for extra in extras
    ]


def extras_of(pipeline: str) -> list[str]:
    """The extras on demand that a pipeline needs; none of a file that cannot be read."""
    try:
        printed = call([SERVICES / "bin" / "python", "-P", "-m", "marketpipeline.local.extras", pipeline])
    except SetupError:
        return []
    return [extra for extra in on_demand() if extra in printed.split()]


def _node_steps() -> list[Step]:
    """One step for each folder of tests/ that has a package-lock.json."""
    locks = [lock for lock in sorted((ROOT / "tests").glob("**/package-lock.json")) if "node_modules" not in lock.parts]
    places = [lock.parent.relative_to(ROOT) for lock in locks]
    return [
        Step(
            name="-".join(place.parts),
            what=f"Node packages into {place}/node_modules",
            costs="9 MB to fetch, 23 MB on disk; 1 s",
            inputs=[ROOT / place / "package.json", ROOT / place / "package-lock.json"],
            gives=ROOT / place / "node_modules",
            run=partial(install_node_packages, ROOT / place),
            optional=True,
        )
        for place in places
    ]


def _s3_step() -> Step:
    """The plugin that the job's image has, for the test that keeps checkpoints in S3."""
    plugin = ROOT / "flink-jobs" / "s3"
    return Step(
        name="flink-s3",
        what="Flink's file system of S3 into .cache/jars/flink-s3",
        costs="32 MB to fetch, 32 MB on disk; 3 s",
        inputs=[plugin / "pom.xml", plugin / "jars.sha256"],
        gives=CACHE / "jars" / "flink-s3",
        run=partial(copy_jars, plugin, CACHE / "jars" / "flink-s3"),
    )


def _pgbouncer_step() -> Step:
    """The pooler that the sink and the reader of the history are tested behind; their tests skip without it."""
    return Step(
        name="pgbouncer",
        what="PgBouncer by apt-get, where absent (SETUP_APT=no forbids it)",
        costs="0.3 MB to fetch, 0.7 MB on disk; 3 s",
        inputs=[],
        gives=Path(shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"),
        run=partial(install_debian_package, "pgbouncer"),
        optional=True,
    )


def _browser_step() -> Step:
    """What the dashboard is tested in; its tests skip without one."""
    name = "chromium-headless-shell"
    return Step(
        name="browser",
        what="Chromium without a window by apt-get, where absent (SETUP_APT=no forbids it)",
        costs="100 MB to fetch, 340 MB on disk; 15 s",
        inputs=[],
        gives=Path(shutil.which(name) or shutil.which("chromium") or f"/usr/bin/{name}"),
        run=partial(install_debian_package, name),
        optional=True,
    )


def _prometheus_step() -> Step:
    """What the alerts are tested with. Unpacked, not installed: the package would start a server of its own."""
    return Step(
        name="prometheus",
        what="Prometheus and Alertmanager from Debian's packages, unpacked into .cache/prometheus",
        costs="30 MB to fetch, 140 MB on disk; 5 s",
        inputs=[],
        gives=CACHE / "prometheus" / "usr" / "bin" / "promtool",
        run=partial(unpack_debian_packages, ["prometheus", "prometheus-alertmanager"], CACHE / "prometheus"),
        optional=True,
    )


def _tools_step() -> Step:
    """What checks the chart and the Tiltfile; where it cannot be made their tests skip, or fail in CI."""
    module = ROOT / "tests" / "helm" / "tools"
    return Step(
        name="tools",
        what="helm and an interpreter of the Tiltfile, compiled, into .cache/tools",
        costs="95 MB to fetch, 65 MB on disk beside Go's caches; 2 min on two cores",
        inputs=[module / "go.mod", module / "go.sum", *sorted(module.glob("*/main.go"))],
        gives=CACHE / "tools" / "helm",
        run=partial(build_go_tools, module, CACHE / "tools"),
        optional=True,
    )


def _kubernetes_step() -> Step:
    """The cluster of tests/cluster and tests/operator; where it cannot be made these skip, or fail in CI."""
    kube = ROOT / "tests" / "cluster" / "kube"
    return Step(
        name="kubernetes",
        what="a Kubernetes of our own, compiled, and a base image into ~/.cache/one-node-kubernetes; by apt-get, where "
        "absent, what it runs on: containerd, runc, buildah, debootstrap and others (SETUP_APT=no forbids it)",
        costs="750 MB to fetch, 5 GB on disk with Go's caches; 7 min on two cores",
        inputs=[kube / "kube", kube / "go.mod", kube / "go.sum", *sorted(kube.glob("*/main.go"))],
        gives=Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "one-node-kubernetes/bin/built-from",
        run=partial(_make_kubernetes, kube / "kube"),
        optional=True,
    )


def _make_kubernetes(script: Path) -> None:
    call([script, "prepare"])


def carry_out(wanted: list[Step]) -> None:
    """Do the steps that are stale, one process at a time: a second one waits, then finds all done."""
    (CACHE / "stamps").mkdir(parents=True, exist_ok=True)
    with (CACHE / "setup.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stale = [step for step in wanted if not step.is_done()]
        if stale:
            require_toolchain()
        for number, step in enumerate(stale, 1):
            print(f"[{number}/{len(stale)}] {step.what} (first time: {step.costs})", flush=True)
            began, key = time.monotonic(), step.key()
            step.stamp.unlink(missing_ok=True)
            try:
                step.run()
            except SetupError as error:
                if not step.optional:
                    raise
                print(f"    left out: {error}", flush=True)
                continue
            step.stamp.write_text(key)
            print(f"    done in {time.monotonic() - began:.0f} s", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--test", action="store_true", help="also what only tests need")
    parser.add_argument("--pipeline", help="also what this pipeline needs, a file")
    parser.add_argument("--extra", action="append", default=[], help="also an extra that is installed on demand")
    arguments = parser.parse_args()
    try:
        require_python()
        carry_out(steps(for_tests=arguments.test))
        wanted = extras_of(arguments.pipeline) if arguments.pipeline else []
        carry_out(extra_steps([*wanted, *(extra for extra in arguments.extra if extra not in wanted)]))
    except SetupError as error:
        print(f"set-up stopped: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
