"""YAML as kubectl reads it; whatever a file holds, the answer is data or a line and a column, and soon."""

from __future__ import annotations

import math
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from marketpipeline.errors import InvalidSpec, Problem
from marketpipeline.spec.document import MAX_BYTES, dotted, read_document


def read(text: str) -> Any:
    return read_document(text, "file.yaml")[0]


def problem(text: str) -> Problem:
    with pytest.raises(InvalidSpec) as caught:
        read(text)
    (found,) = caught.value.problems
    return found


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", True), ("off", False), ("y", True), ("N", False), ("nope", "nope"), ("~", None), ("'~'", "~"),
        ("1", 1), ("-1", -1), ("+1", 1), ("1_000", 1_000), ("010", 8), ("0o10", 8), ("0x1F", 31), ("0b11", 3),
        ("08", 8), ("1e2", 100), ("1.0", 1), ("1.5", 1.5), (".5", 0.5), ("-.5e1", -5), ("1e-2", 0.01),
        ("0x_", "0x_"), ("1:30", "1:30"), ("1e999", "1e999"), (".", "."), ("-x", "-x"), ("١", "١"),
        ("2025-02-30", "2025-02-30"), ("9" * 5_000, "9" * 5_000), ("2025-02-28T10:00:00Z", "2025-02-28T10:00:00Z"),
        ("0x" + "f" * 5_000, "0x" + "f" * 5_000), ("!!str 1", "1"), ("!!float 1", 1), (".inf", math.inf),
    ],
)  # fmt: skip
def test_plain_scalars_are_what_kubectl_makes_of_them(text: str, value: object) -> None:
    found = read(f"a: {text}")["a"]
    assert (found, type(found)) == (value, type(value))


def test_merges_and_aliases() -> None:
    assert read("a: &a {x: 1}\nb: {<<: *a, z: 2}\nc: *a\n") == {"a": {"x": 1}, "b": {"x": 1, "z": 2}, "c": {"x": 1}}


DEEP = "a: " + "[" * 5_000
BOMB = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 30)
)


@pytest.mark.parametrize(
    ("text", "says", "line", "column"),
    [
        ("spec: &s {b: 1, api: *s}", "*s stands within what it is an alias of", 1, 22),
        ("spec: &s\n- [*s]\n", "*s stands within what it is an alias of", 2, 4),
        (DEEP, "values are nested in one another more than 64 deep", 1, 67),
        (BOMB, "more than 20,000 values, with those that aliases repeat", 5, 10),
        ("a: !!int 0x_", "'0x_' is no int", 1, 4),
        ("a: !!bool maybe", "'maybe' is no bool", 1, 4),
        ("a: !!timestamp 2025-02-30", "could not determine a constructor for the tag", 1, 4),
        ("a: !!set {b}", "could not determine a constructor for the tag", 1, 4),
        ("a: !!python/object:os.system x", "could not determine a constructor for the tag", 1, 4),
        ('a: "\\ud800"', "is no str", 1, 4),
        ('a: "b\\UFFFFFFFF"', "an escape in a text names no sign of Unicode", 1, 8),
        ("? [a]\n: 1", "found unhashable key", 1, 3),
        ("a: *nowhere", "found undefined alias 'nowhere'", 1, 4),
        ("a: 'open", "found unexpected end of stream", 1, 9),
        ("a: \x07", "special characters are not allowed", 1, 4),
    ],
)
def test_what_cannot_be_read_names_its_place(text: str, says: str, line: int, column: int) -> None:
    began = time.perf_counter()
    found = problem(text)
    assert time.perf_counter() - began < 5
    assert says in found.expected
    assert (found.field, found.line, found.column) == ("file", line, column)


def test_a_file_without_end_is_not_read_to_its_end() -> None:
    assert "a MarketPipeline is far smaller" in problem("a: 1\n" * MAX_BYTES).expected


@pytest.mark.parametrize("text", ["spec: &s {symbols: [], api: *s}", DEEP, BOMB, "metadata: {name: 0x_}"])
def test_the_command_says_it_with_status_2(text: str, tmp_path: Path) -> None:
    (tmp_path / "file.yaml").write_text(text)
    command = [sys.executable, "-m", "marketpipeline", "validate", str(tmp_path / "file.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_paths() -> None:
    assert dotted(("spec", "symbols", 0, "x")) == "spec.symbols[0].x"
