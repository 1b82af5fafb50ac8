"""The two charts on kind, with images of this work tree: `.venv/bin/python scripts/kind.py up`, and `down` afterwards.

It takes Docker, kind, kubectl and helm. What follows `--` goes to `helm install` of market-stack, e.g. `-- --set
prometheus.enabled=true`. `--dry-run` only prints the commands. To work on the code itself `tilt up` is the better way.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from marketpipeline import __version__
from marketpipeline.plan import programs
from marketpipeline_operator.settings import COMPONENTS_VERSION

__all__ = ["down", "images", "main", "up"]

ROOT = Path(__file__).resolve().parent.parent
CLUSTER = "marketpipeline"
REGISTRY = "marketpipeline"
OPERATOR, STACK = "marketpipeline-operator", "market-stack"
SYSTEM, NAMESPACE = "marketpipeline-system", "market-data"

Command = list[str]


def images(registry: str = REGISTRY) -> dict[str, Command]:
    """Name and tag of each image, and what a build of it is given."""
    dockerfiles = {"stream-job": "flink-job", "operator": "operator"}
    extras = {component.value: program.extra for component, program in programs().items()} | {"simulator": "simulator"}
    found = {}
    for name in [*extras, *dockerfiles]:
        tag = f"{registry}/{name}:{__version__ if name == 'operator' else COMPONENTS_VERSION}"
        argument = ["--build-arg", f"COMPONENT={extras[name]}"] if name in extras else []
        file = f"images/{dockerfiles.get(name, 'services')}/Dockerfile"
        found[tag] = ["--file", file, *argument, "--tag", tag, "."]
    return found


def up(live: bool, options: Sequence[str]) -> Iterator[Command]:
    """A cluster, our images in it, both charts, and a look at the first candle."""
    yield ["kind", "create", "cluster", "--name", CLUSTER, "--wait", "120s"]
    built = images()
    yield from (["docker", "build", "--quiet", *given] for given in built.values())
    yield ["kind", "load", "docker-image", "--name", CLUSTER, *built]
    install = ["helm", "upgrade", "--install", "--create-namespace", "--wait", "--timeout", "10m"]
    yield [*install, OPERATOR, f"helm/{OPERATOR}", "--namespace", SYSTEM]
    simulated = [] if live else ["--set", "simulator.enabled=true"]
    yield [*install, STACK, f"helm/{STACK}", "--namespace", NAMESPACE, *simulated, *options]
    yield ["helm", "test", STACK, "--namespace", NAMESPACE]


def down() -> Iterator[Command]:
    """In the order in which nothing is lost, and then the cluster."""
    yield ["helm", "uninstall", STACK, "--namespace", NAMESPACE, "--ignore-not-found", "--wait"]
    yield ["helm", "uninstall", OPERATOR, "--namespace", SYSTEM, "--ignore-not-found", "--wait"]
    yield ["kind", "delete", "cluster", "--name", CLUSTER]


def _exists() -> bool:
    done = subprocess.run(["kind", "get", "clusters"], capture_output=True, text=True, check=True)
    return CLUSTER in done.stdout.split()


def main(arguments: Sequence[str] | None = None) -> int:
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = given[given.index("--") + 1 :] if "--" in given else []
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("what", choices=("up", "down"))
    parser.add_argument("--live", action="store_true", help="read the exchange itself and not a simulated one")
    parser.add_argument("--dry-run", action="store_true", help="print the commands and run none")
    parsed = parser.parse_args(given[: len(given) - len(options) - ("--" in given)])
    for command in up(parsed.live, options) if parsed.what == "up" else down():
        print(f"+ {shlex.join(command)}", flush=True)
        if parsed.dry_run or (command[:2] == ["kind", "create"] and _exists()):
            continue
        if status := subprocess.run(command, cwd=ROOT, check=False).returncode:
            return status
    return 0


if __name__ == "__main__":
    sys.exit(main())
