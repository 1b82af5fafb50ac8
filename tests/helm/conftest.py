"""The real helm for the tests of the charts."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helm.marketpipeline_operator.support import Helm
from tests.support.tools import tool


@pytest.fixture(scope="session")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Helm:
    return Helm(tool("helm"), Path(tmp_path_factory.mktemp("helm")))
