"""Write the locks from what the pyproject and pom files ask for: `make lock`, `make lock UPGRADE=1`.

Without UPGRADE every pin stays that still satisfies. A lock holds names, versions and hashes, never an index's address.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from marketpipeline.setup.installers import call, index_environment, resolve_jars
from marketpipeline.setup.places import places
from marketpipeline.setup.toolchain import SetupError, require_toolchain

__all__ = ["LOCKS", "POMS", "compile_lock", "pin_jars"]

ROOT, CACHE, SERVICES = places().sources, places().cache, places().services
JOBS = ROOT / "flink-jobs"
# lock ← what it is compiled from, and what it leaves out (our own distributions are installed in place)
LOCKS: dict[Path, tuple[Path, list[str]]] = {
    ROOT / "locks" / "build.txt": (ROOT / "locks" / "build.in", []),
    ROOT / "locks" / "services.txt": (ROOT / "pyproject.toml", ["--all-extras"]),
    JOBS / "lock.txt": (JOBS / "pyproject.toml", ["--all-extras", "--no-emit-package", "marketpipeline"]),
}
POMS = [ROOT / "third-party" / "kafka", JOBS, JOBS / "s3"]


def compile_lock(lock: Path, *, upgrade: bool) -> None:
    """Resolve one lock for Python 3.11 and 3.12 on every system, with the hash of every file that may be installed."""
    source, options = LOCKS[lock]
    shape = ["--universal", "--python-version", "3.11", "--generate-hashes", "--no-emit-index-url", "--no-header"]
    upgrades = ["--upgrade"] if upgrade else []
    uv, place = SERVICES / "bin" / "uv", lock.parent if lock.parent == JOBS else ROOT
    call(
        [
            uv,
            "pip",
            "compile",
            "--quiet",
            *shape,
            *options,
            *upgrades,
            "-o",
            lock.relative_to(place),
            source.relative_to(place),
        ],
        env=index_environment(SERVICES / "bin" / "python"),
        cwd=place,
    )
    if "://" in lock.read_text():
        raise SetupError(f"{lock} names an address, which a commit must not; see what {source} asks for")


def pin_jars(project: Path) -> None:
    """Resolve a pom and write down the sums of its jars."""
    CACHE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        sums = resolve_jars(project, Path(folder))
    (project / "jars.sha256").write_text("".join(f"{digest}  {name}\n" for name, digest in sums.items()))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--upgrade", action="store_true", help="move every pin to the newest version that satisfies")
    arguments = parser.parse_args()
    try:
        require_toolchain()
        for lock in LOCKS:
            compile_lock(lock, upgrade=arguments.upgrade)
            print(f"wrote {lock.relative_to(ROOT)}")
        for project in POMS:
            pin_jars(project)
            print(f"wrote {(project / 'jars.sha256').relative_to(ROOT)}")
    except SetupError as error:
        print(f"lock stopped: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
