"""Nothing but an exchange's own modules names an exchange: generic code has no `if exchange == …`.

Read from the code's syntax: names, attributes, imports, arguments and string constants count. Docstrings, comments and
the text that a user reads (a field's description, an option's help) may give an exchange as the example.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.conftest import PROJECT

CODE = ["services", "operator", "flink-jobs/marketpipeline_job"]
VENUES = PROJECT / "services" / "marketpipeline" / "venues"
# Other exchanges that a shortcut might name before they have a module of their own.
KNOWN = {"binance", "okx", "bybit", "coinbase", "kraken", "bitfinex", "bitmex", "deribit", "kucoin", "huobi"}
# Keyword arguments whose strings are shown to a user and decide nothing.
SHOWN = {"description", "epilog", "examples", "help", "metavar"}


def names() -> set[str]:
    return KNOWN | {folder.name for folder in VENUES.iterdir() if (folder / "__init__.py").exists()}


def is_an_exchanges_own(path: Path, venues: set[str]) -> bool:
    """`…/<name>/…` or `…/<name>.py`, `…/<name>_….py`: venues/<name>/, exchange/protocols/<name>.py."""
    inside = path.relative_to(PROJECT).with_suffix("").parts
    return any(part == name or part.startswith(f"{name}_") for part in inside for name in venues)


def prose(tree: ast.AST) -> set[int]:
    """Ids of the string constants that only people read: docstrings, and what is given as one of SHOWN."""
    found: set[int] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Expr(value=ast.Constant() as text):
                found.add(id(text))
            case ast.keyword(arg=str(name), value=value) if name in SHOWN:
                found.update(id(text) for text in ast.walk(value) if isinstance(text, ast.Constant))
    return found


def words(path: Path) -> Iterator[tuple[int, str]]:
    """Every name and string constant of a module, with its line."""
    tree = ast.parse(path.read_text(), str(path))
    skipped = prose(tree)
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        match node:
            case ast.Name(id=word) | ast.Attribute(attr=word) | ast.arg(arg=word) | ast.alias(name=word):
                yield line, word
            case ast.FunctionDef(name=word) | ast.AsyncFunctionDef(name=word) | ast.ClassDef(name=word):
                yield line, word
            case ast.keyword(arg=str(word)) | ast.ImportFrom(module=str(word)):
                yield line, word
            case ast.Constant(value=str(word)) if id(node) not in skipped:
                yield line, word


def offences(path: Path, pattern: re.Pattern[str]) -> list[str]:
    where = path.relative_to(PROJECT)
    return [f"{where}:{line}: {word[:60]!r}" for line, word in words(path) if pattern.search(word)]


def test_generic_code_names_no_exchange() -> None:
    venues = names()
    pattern = re.compile("|".join(sorted(venues)), re.IGNORECASE)
    modules = [path for folder in CODE for path in sorted((PROJECT / folder).rglob("*.py"))]
    assert len(modules) > 20, "the code was not found"
    generic = [path for path in modules if not is_an_exchanges_own(path, venues)]
    assert not [offence for path in generic for offence in offences(path, pattern)]


def test_the_check_sees_what_it_should(tmp_path: Path) -> None:
    module = PROJECT / "services" / "marketpipeline" / "venues" / "binance" / "__init__.py"
    assert is_an_exchanges_own(module, {"binance"})
    assert not is_an_exchanges_own(PROJECT / "services" / "marketpipeline" / "topics.py", {"binance"})
    example = tmp_path / "generic.py"
    example.write_text('"""binance in words."""\nif venue == "binance":\n    okx_frame(kraken=1, help="okx")\n')
    found = [word for _, word in words(example) if re.search("binance|okx|kraken", word)]
    assert sorted(found) == ["binance", "kraken", "okx_frame"]
