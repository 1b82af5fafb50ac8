"""The part of a hashed lock that some extras of a distribution need, with its hashes, for an image's `pip install`.

    python requirements.py PYPROJECT LOCK [EXTRA...] > requirements.txt

An image installs what its component imports and no more, at the versions and hashes of the one lock. pip cannot
choose from a lock (constraints with hashes are not followed to dependencies), so this follows the `# via` notes
that the resolver wrote into the lock: nothing is resolved again and no index is asked. Standard library only, as
it runs before anything is installed. An unknown extra or a dependency the lock lacks ends it with status 1.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

__all__ = ["Lock", "requirements", "roots"]

Lock = dict[str, tuple[str, frozenset[str]]]
"""Distribution name → its lines as they stand in the lock, and the names of the distributions that want it."""


def normalise(name: str) -> str:
    """A distribution's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def split(requirement: str) -> tuple[str, list[str]]:
    """`Name[a,b]>=1` → the normalised name and its extras."""
    match = re.match(r"\s*([A-Za-z0-9][\w.-]*)\s*(?:\[([^\]]*)\])?", requirement)
    if match is None:
        raise SystemExit(f"requirements: {requirement!r} is no requirement; a name with extras and versions would be")
    return normalise(match[1]), [extra.strip() for extra in (match[2] or "").split(",") if extra.strip()]


def read_lock(text: str) -> Lock:
    """The entries of a `uv pip compile --generate-hashes` file with its default `# via` notes.

    A distribution may have several, each for another version of Python.
    """
    lock: Lock = {}
    for entry in re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)[1:]:
        lines = [line for line in entry.splitlines() if not line.lstrip().startswith("#")]
        via = re.findall(r"^ +# (?:via)? *([\w.-]+)", entry, flags=re.MULTILINE)
        name, text = split(entry)[0], "\n".join(lines).rstrip()
        before, wanting = lock.get(name, ("", frozenset()))
        lock[name] = (f"{before}\n{text}".lstrip(), wanting | {normalise(other) for other in via})
    return lock


def roots(project: dict[str, object], extras: Iterable[str]) -> Iterator[str]:
    """Names of what the project itself asks for with these extras; extras that name other extras are followed."""
    name, optional = normalise(str(project["name"])), project.get("optional-dependencies", {})
    assert isinstance(optional, dict)
    wanted, seen = list(extras), set[str]()
    requirements = list(project.get("dependencies", []))  # type: ignore[call-overload]
    while wanted:
        extra = wanted.pop()
        if extra in seen:
            continue
        if extra not in optional:
            raise SystemExit(f"requirements: no extra {extra!r} in {name}; there are: {', '.join(sorted(optional))}")
        seen.add(extra)
        requirements += optional[extra]
        wanted += [more for other, mores in map(split, optional[extra]) if other == name for more in mores]
    yield from (other for other, _ in map(split, requirements) if other != name)


def requirements(lock: Lock, wanted: Iterable[str]) -> str:
    """The lock's lines for the wanted distributions and for all that these want, in the lock's order.

    A distribution of our own is wanted like any other and has no lines: it is not in a lock, only in its notes.
    """
    found, frontier = set[str](), set(wanted)
    if missing := frontier - lock.keys() - {name for _, via in lock.values() for name in via}:
        raise SystemExit(f"requirements: not in the lock: {', '.join(sorted(missing))}; make the lock again")
    while frontier:
        found |= frontier
        frontier = {name for name, (_, via) in lock.items() if via & frontier} - found
    return "".join(f"{lines}\n" for name, (lines, _) in lock.items() if name in found)


def main(pyproject: str, lock: str, *extras: str) -> None:
    """Print the requirements; see the module's docstring."""
    project = tomllib.loads(Path(pyproject).read_text())["project"]
    sys.stdout.write(requirements(read_lock(Path(lock).read_text()), roots(project, extras)))


if __name__ == "__main__":
    main(*sys.argv[1:])
