"""What is installed is what the locks and sums say, and what is heavy only where it was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from marketpipeline.setup import installers
from marketpipeline.setup.installers import Installers, copy_jars, stamp_of
from marketpipeline.setup.places import places
from marketpipeline.setup.toolchain import SetupError

from tests.conftest import PROJECT


def test_a_jar_that_is_not_the_pinned_one_is_named_and_nothing_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "jars.sha256").write_text(f"{'0' * 64}  kafka-clients-4.3.1.jar\n")
    monkeypatch.setattr(installers, "resolve_jars", lambda project, target: {"kafka-clients-4.3.1.jar": "1" * 64})
    target = tmp_path / "jars"
    target.mkdir()
    with pytest.raises(SetupError, match=r"kafka-clients-4\.3\.1\.jar"):
        copy_jars(tmp_path, target)
    assert target.is_dir()


def test_what_is_there_now_is_what_the_sums_say() -> None:
    """The jars that this very test run uses are the pinned ones, and our own functions."""
    ours: dict[str, set[str]] = {"kafka": set(), "flink": {"marketpipeline-functions.jar"}}
    for project, name in ((PROJECT / "third-party" / "kafka", "kafka"), (PROJECT / "flink-jobs", "flink")):
        pinned = {line.split()[1] for line in (project / "jars.sha256").read_text().splitlines()}
        assert {jar.name for jar in (PROJECT / ".cache" / "jars" / name).iterdir()} == pinned | ours[name]


def test_the_environment_of_a_run_has_no_heavy_extra_unless_it_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = replace(places(), cache=tmp_path, services=tmp_path / "venv")
    chosen: list[str] = []

    def note(command: Sequence[str | Path], **_: Any) -> str:
        if Path(command[1]).name == "requirements.py":
            chosen[:] = [str(word) for word in command[4:]]
        return ""

    monkeypatch.setattr(installers, "call", note)
    install = Installers(here)
    install.services()
    assert chosen == ["local"]
    assert not set(install.on_demand()) & set(chosen)
    (tmp_path / "stamps").mkdir()
    for extra in install.on_demand():
        (tmp_path / "stamps" / stamp_of(extra)).touch()
    install.services()
    assert set(install.on_demand()) <= set(chosen)


def test_a_wheel_lends_its_own_files_to_the_stream_jobs_environment_and_no_library_of_the_services(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its environment has other versions of them."""
    site = tmp_path / "site"
    site.mkdir()
    here = replace(places(), cache=tmp_path / "cache", services=tmp_path, flink=tmp_path / "flink", is_checkout=False)
    monkeypatch.setattr(installers, "call", lambda command, **_: f"{site}\n" if "sysconfig" in str(command[-1]) else "")
    Installers(here).flink()
    lent = tmp_path / "cache" / "lent"
    assert (site / "marketpipeline.pth").read_text() == f"{lent}\n"
    assert {path.name for path in lent.iterdir()} == {"marketpipeline", "marketpipeline_job"}
    assert (lent / "marketpipeline" / "records.py").is_file()
