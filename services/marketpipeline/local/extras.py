"""The extras of this distribution that a pipeline needs on one machine, and which of them are absent.

What is heavy is only installed for who asks for it. `python -m marketpipeline.local.extras FILE` prints the extras that
a pipeline needs; the set-up of a checkout asks so.
"""

from __future__ import annotations

import re
import sys
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from marketpipeline.errors import InvalidInput, MarketPipelineError, Problem
from marketpipeline.spec import MarketPipeline, load_file

__all__ = ["absent", "extras_of", "require_extras"]

_DISTRIBUTION = "marketpipeline"


def extras_of(pipeline: MarketPipeline) -> dict[str, list[str]]:
    """By the part of the spec that is enabled: its extra, and of a sink that of the server which one machine runs."""
    kinds = [kind for kind, _ in pipeline.spec.sinks.enabled()]
    found = {f"sinks.{kind.name}": [extra for extra in (kind.extra, kind.server_extra) if extra] for kind in kinds}
    return found | ({"dashboard": ["dashboard"]} if pipeline.spec.dashboard.enabled else {})


def absent(extra: str) -> list[str]:
    """The distributions that an extra asks for by name and that are not installed."""
    wanted = [line for line in requires(_DISTRIBUTION) or [] if re.search(f"extra == ['\"]{extra}['\"]", line)]
    names = [found[0] for line in wanted if (found := re.match(r"[A-Za-z0-9._-]+", line))]
    return sorted(name for name in names if not _is_installed(name))


def require_extras(pipeline: MarketPipeline, source: str) -> None:
    """Raise InvalidInput when a part of the pipeline, read from `source`, lacks what it needs here."""
    problems = []
    for part, extras in extras_of(pipeline).items():
        if missing := [name for extra in extras for name in absent(extra)]:
            expected = (
                f"needs {', '.join(missing)} on this machine; run `marketpipeline setup {source}`, or "
                f"pip install '{_DISTRIBUTION}[{','.join(extras)}]'"
            )
            problems.append(Problem(f"spec.{part}.enabled", True, expected))
    if problems:
        raise InvalidInput(source, problems)


def _is_installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


def main() -> int:
    """Print the extras, one a line."""
    try:
        found = extras_of(load_file(Path(sys.argv[1])))
    except (MarketPipelineError, IndexError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write("".join(f"{extra}\n" for extras in found.values() for extra in extras))
    return 0


if __name__ == "__main__":
    sys.exit(main())
