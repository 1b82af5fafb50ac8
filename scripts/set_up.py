"""Set up everything that a run or a test needs, once: `make setup`, and first thing in `make run` and `make test`.

What a run needs is in `marketpipeline.setup`, which `marketpipeline run` calls where there is no checkout; what only
tests need is here. Standard library only, since nothing is installed yet.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "services"))

from installers import build_go_tools, copy_from_go_module, install_node_packages  # noqa: E402 - after the path
from marketpipeline.setup.installers import Installers, call, copy_jars  # noqa: E402
from marketpipeline.setup.places import places  # noqa: E402
from marketpipeline.setup.steps import Step, carry_out, extra_steps, graph_step, run_steps  # noqa: E402
from marketpipeline.setup.toolchain import (  # noqa: E402
    SetupError,
    install_debian_package,
    require_python,
    unpack_debian_packages,
)

__all__ = ["extras_of", "main", "steps"]

HERE = places()
CACHE, SERVICES = HERE.cache, HERE.services


def steps(*, for_tests: bool) -> list[Step]:
    """What is to be there, in order; what each costs was measured from empty caches (docs/decisions/0011)."""
    wanted = run_steps(HERE)
    for_them = [
        *extra_steps(Installers(HERE).on_demand(), HERE),
        *_node_steps(),
        _s3_step(),
        _pgbouncer_step(),
        _prometheus_step(),
        _browser_step(),
        _tools_step(),
        _olm_step(),
        _kubernetes_step(),
    ]
    return [*wanted, *for_them] if for_tests else wanted


def extras_of(pipeline: str) -> list[str]:
    """The extras on demand that a pipeline needs; none of a file that cannot be read."""
    try:
        printed = call([SERVICES / "bin" / "python", "-P", "-m", "marketpipeline.local.extras", pipeline])
    except SetupError:
        return []
    return [extra for extra in Installers(HERE).on_demand() if extra in printed.split()]


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
    """What checks the charts and the Tiltfile; where it cannot be made their tests skip, or fail in CI."""
    module = ROOT / "tests" / "helm" / "tools"
    return Step(
        name="tools",
        what="helm, an interpreter of the Tiltfile and a reader of kind's configuration, compiled, into .cache/tools",
        costs="95 MB to fetch, 65 MB on disk beside Go's caches; 2 min on two cores",
        inputs=[module / "go.mod", module / "go.sum", *sorted(module.glob("*/main.go"))],
        gives=CACHE / "tools" / "helm",
        run=partial(build_go_tools, module, CACHE / "tools"),
        optional=True,
    )


def _olm_step() -> Step:
    """What a bundle for the Operator Lifecycle Manager is checked by."""
    crd = "operators.coreos.com_clusterserviceversions.yaml"
    return Step(
        name="olm",
        what="the definition of a ClusterServiceVersion into .cache/olm",
        costs="1 MB to fetch, 5 MB on disk; 1 s",
        inputs=[],
        gives=CACHE / "olm" / crd,
        run=partial(
            copy_from_go_module,
            "github.com/operator-framework/api@v0.34.0",
            f"crds/{crd}",
            "00534c58ef9c6d96362c8e68f5dfb221abbb2a9a7c00d7e35fa5a6b83610cf8d",
            CACHE / "olm" / crd,
        ),
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


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--test", action="store_true", help="also what only tests need")
    parser.add_argument("--pipeline", help="also what this pipeline needs, a file")
    parser.add_argument("--extra", action="append", default=[], help="also an extra that is installed on demand")
    arguments = parser.parse_args()
    try:
        require_python()
        carry_out(steps(for_tests=arguments.test), HERE)
        wanted = extras_of(arguments.pipeline) if arguments.pipeline else []
        carry_out(extra_steps([*wanted, *(extra for extra in arguments.extra if extra not in wanted)], HERE), HERE)
        if arguments.pipeline and Path(arguments.pipeline).resolve() == HERE.quickstart:
            carry_out([graph_step(HERE)], HERE)
    except SetupError as error:
        print(f"set-up stopped: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
