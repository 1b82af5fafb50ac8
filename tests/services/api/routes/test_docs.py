"""The page of the API: it needs nothing from elsewhere, and its script is JavaScript."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from marketpipeline.api.routes import docs

from tests.conftest import require
from tests.services.api.serving import Api


async def test_the_page_is_where_a_browser_looks_for_it(api: Api) -> None:
    moved = await api.client.get("/")
    assert (moved.status_code, moved.headers["location"]) == (307, "docs")
    page = await api.client.get("/docs")
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "connect-src 'self'" in page.headers["content-security-policy"]


async def test_it_loads_nothing_from_elsewhere(api: Api) -> None:
    page = (await api.client.get("/docs")).text
    assert not re.findall(r"(?:https?:)?//[a-z]", page)
    addresses = set(re.findall(r'(?:href|src)="([^"]+)"|fetch\("([^"]+)"\)', page))
    for address in {first or second for first, second in addresses}:
        assert (await api.client.get(f"/{address}")).status_code == 200, address


def test_its_script_parses(tmp_path: Path) -> None:
    node = shutil.which("node")
    require(node, "Node is absent")
    (script,) = re.findall(r"<script>(.*)</script>", Path(docs.__file__).with_suffix(".html").read_text(), re.DOTALL)
    file = tmp_path / "docs.js"
    file.write_text(script)
    done = subprocess.run([str(node), "--check", str(file)], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
