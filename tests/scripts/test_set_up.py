"""The set-up of a checkout: what a run needs, what only the tests need, and what of it may be absent."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import installers
import pytest
import set_up
from marketpipeline.setup.installers import Installers
from marketpipeline.setup.places import places
from marketpipeline.setup.steps import extra_steps
from marketpipeline.setup.toolchain import SetupError

from tests.conftest import PROJECT
from tests.support.tools import tool


def test_without_go_the_tools_are_left_out_with_a_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SetupError, match="go is absent"):
        installers.build_go_tools(PROJECT / "tests" / "helm" / "tools", tmp_path / "tools")


@pytest.mark.parametrize("name", ["tools", "pgbouncer", "kubernetes", "browser", "prometheus"])
def test_what_only_tests_need_may_be_absent_and_no_run_asks_for_it(name: str) -> None:
    (step,) = [step for step in set_up.steps(for_tests=True) if step.name == name]
    assert step.optional
    assert not [step for step in set_up.steps(for_tests=False) if step.name == name]


def test_the_helm_that_is_used_is_the_pinned_one() -> None:
    pinned = re.search(r"helm.sh/helm/v3 (\S+)", (PROJECT / "tests/helm/tools/go.mod").read_text())
    done = subprocess.run([tool("helm"), "version", "--short"], capture_output=True, text=True, check=True)
    assert pinned is not None
    assert done.stdout.strip().partition("+")[0] == pinned[1]


def test_heavy_extras_are_installed_for_the_tests_and_for_pipelines_that_need_them(tmp_path: Path) -> None:
    """The quickstart needs none of them; what each costs is said."""
    late = Installers(places()).on_demand()
    names = {f"extra-{extra}" for extra in late}
    assert names <= {step.name for step in set_up.steps(for_tests=True)}
    assert not names & {step.name for step in set_up.steps(for_tests=False)}
    said = [step.costs for step in extra_steps(late, places())]
    assert all("MB to fetch" in costs or costs.startswith("nothing beside") for costs in said)
    assert set_up.extras_of(str(PROJECT / "manifests" / "quickstart.yaml")) == []
    assert set_up.extras_of(str(tmp_path / "absent.yaml")) == []
