"""The chart of the stack, and what its values for `ct` and these tests are."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import PROJECT
from tests.helm.marketpipeline_operator.support import Helm
from tests.support.tools import tool

STACK = PROJECT / "helm" / "market-stack"


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Helm:
    return Helm(tool("helm"), Path(tmp_path_factory.mktemp("helm")), STACK)
