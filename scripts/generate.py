"""Write every generated file, or with --check fail when one is stale: `make generate`, and the suite `generated`.

What is generated stands in pyproject.toml, [tool.marketpipeline.generated]: file = "module:function", where the
function takes nothing, reads nothing but the code, and gives the file's text.
"""

from __future__ import annotations

import argparse
import difflib
import sys
import tomllib
from importlib import import_module
from pathlib import Path

__all__ = ["generate", "main", "stale", "table"]

ROOT = Path(__file__).resolve().parent.parent


def table(pyproject: Path) -> dict[str, str]:
    """File ← "module:function", as pyproject.toml says."""
    tool = tomllib.loads(pyproject.read_text())["tool"]
    return dict(tool.get("marketpipeline", {}).get("generated", {}))


def generate(source: str) -> str:
    """The text that the function named by "module:function" gives now."""
    module, _, function = source.partition(":")
    text = getattr(import_module(module), function)()
    if not isinstance(text, str):
        raise TypeError(f"{source} gave {type(text).__name__}, a generated file is a str")
    return text if text.endswith("\n") else f"{text}\n"


def stale(root: Path, sources: dict[str, str]) -> dict[str, str]:
    """The files that differ from what would be generated, with their new text."""
    texts = {file: generate(source) for file, source in sources.items()}
    return {file: text for file, text in texts.items() if _read(root / file) != text}


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a file is stale")
    arguments = parser.parse_args()
    sources = table(ROOT / "pyproject.toml")
    changed = stale(ROOT, sources)
    for file, text in changed.items():
        if arguments.check:
            before, after = _read(ROOT / file).splitlines(keepends=True), text.splitlines(keepends=True)
            sys.stdout.writelines(difflib.unified_diff(before, after, file, f"{file} (as {sources[file]} gives it)"))
        else:
            (ROOT / file).parent.mkdir(parents=True, exist_ok=True)
            (ROOT / file).write_text(text)
            print(f"wrote {file}")
    print(f"{len(sources)} generated files, {len(changed)} {'stale: make generate' if arguments.check else 'changed'}")
    return 1 if changed and arguments.check else 0


if __name__ == "__main__":
    sys.exit(main())
