"""The documentation is a site whose links lead somewhere, and every page of it can be reached."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.conftest import PROJECT


def test_the_site_builds_and_every_link_leads_somewhere(tmp_path: Path) -> None:
    program = Path(sys.executable).parent / "mkdocs"
    command = [str(program), "build", "--quiet", "--strict", "--site-dir", str(tmp_path)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(
        command, cwd=PROJECT, capture_output=True, text=True, timeout=120, check=False, env=environment
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "reference" / "index.html").is_file()


def test_every_page_is_in_the_navigation() -> None:
    """Runbooks by the page of alerts; decisions are for whoever reads the sources."""
    named = set(re.findall(r"[\w-]+\.md", (PROJECT / "mkdocs.yml").read_text()))
    assert {page.name for page in (PROJECT / "docs").glob("*.md")} == named
