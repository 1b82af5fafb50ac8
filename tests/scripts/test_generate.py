"""Generated files: written by one command, and noticed when stale."""

from __future__ import annotations

from pathlib import Path

import generate
import pytest

from tests.conftest import PROJECT


def module(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> str:
    (folder / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(folder))
    return f"{name}:render"


def test_a_file_is_stale_until_it_is_what_its_function_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = {"a.yaml": module(tmp_path, monkeypatch, "gives_a", "def render(): return 'a: 1'")}
    assert generate.stale(tmp_path, sources) == {"a.yaml": "a: 1\n"}
    (tmp_path / "a.yaml").write_text("a: 1\n")
    assert generate.stale(tmp_path, sources) == {}
    (tmp_path / "a.yaml").write_text("a: 2\n")
    assert generate.stale(tmp_path, sources) == {"a.yaml": "a: 1\n"}


def test_a_generator_that_gives_no_text_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = module(tmp_path, monkeypatch, "gives_none", "def render(): return None")
    with pytest.raises(TypeError, match="gives_none:render gave NoneType"):
        generate.generate(source)


def test_the_table_is_read_from_pyproject(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[tool.marketpipeline.generated]\n"crds/a.yaml" = "package.module:render"\n'
    )
    assert generate.table(tmp_path / "pyproject.toml") == {"crds/a.yaml": "package.module:render"}
    assert all(":" in source for source in generate.table(PROJECT / "pyproject.toml").values())
