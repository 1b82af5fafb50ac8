"""The screen as an SVG file, for documentation."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console

from marketpipeline.errors import InvalidInput, Problem
from marketpipeline.local.managed_process import ManagedProcess
from marketpipeline.local.view.base import Heading
from marketpipeline.local.view.observer import Observation, Observer
from marketpipeline.local.view.render import Frame, render

__all__ = ["save_screenshot"]

WIDTH = 128
_FONTS = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
"""What rich would have fetched from the internet by everybody who looks at the picture."""


def save_screenshot(
    path: Path, heading: Heading, processes: Mapping[str, ManagedProcess], observer: Observer, seen: Observation
) -> None:
    """Write the screen to `path`. Raises InvalidInput when that cannot be written."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(
        render(Frame(heading, list(processes.values()), observer, seen, message="", width=WIDTH, height=None))
    )
    drawn = _FONTS.sub("", console.export_svg(title=f"marketpipeline run ({heading.pipeline})"))
    try:
        path.write_text(drawn, encoding="utf-8")
    except OSError as error:
        problem = Problem("--screenshot", str(path), f"must be a file that can be written: {error.strerror}")
        raise InvalidInput("run", [problem]) from error
