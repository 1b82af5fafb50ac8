"""The pictures of the dashboard in docs/images: a pipeline is run until it has something to show, and looked at.

`python scripts/screenshots.py [URL]`: with the URL of a dashboard that runs already, that one is looked at.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
PIPELINE = ROOT / "manifests" / "quickstart.yaml"
URL = "http://127.0.0.1:8501"
PICTURES = (
    ("dashboard", "/?interval=1m", {"width": 1440, "height": 940}, "dark"),
    ("dashboard-alerts", "/alerts", {"width": 1440, "height": 560}, "light"),
)
DRAWN = "document.querySelectorAll('[data-testid=stSkeleton]').length === 0"
"""No place of a chart is empty any more."""
WARM_SECONDS = 240
MOST_BYTES = 150_000


@contextmanager
def running() -> Iterator[str]:
    """A pipeline of its own, with some minutes of candles."""
    with tempfile.TemporaryDirectory() as state:
        program = str(ROOT / ".venv" / "bin" / "marketpipeline")
        command = [program, "run", str(PIPELINE), "--dashboard", "--no-ui", "--state", f"{state}/run"]
        process = subprocess.Popen(command, env={**os.environ, "NO_COLOR": "1"})
        try:
            _wait(process)
            time.sleep(WARM_SECONDS)
            yield URL
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()


def _wait(process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        try:
            with urllib.request.urlopen(f"{URL}/health", timeout=2) as answer:
                if b'"live"' in answer.read():
                    return
        except OSError:
            pass
        time.sleep(1)
    raise SystemExit("the run has ended before the dashboard was there")


def take(url: str) -> None:
    """Write the pictures: with 128 colours, which are enough for text and lines, in an eighth of the bytes."""
    from PIL import Image
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium-headless-shell") or shutil.which("chromium")
    with sync_playwright() as playwright:
        browser: Any = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        for name, path, size, scheme in PICTURES:
            page = browser.new_page(viewport=size, color_scheme=scheme)
            page.goto(url + path)
            page.wait_for_selector(".mp-live", timeout=60_000)
            page.wait_for_function(DRAWN)
            page.wait_for_timeout(6_000)
            file = IMAGES / f"{name}.png"
            page.screenshot(path=file)
            with Image.open(file) as picture:
                picture.convert("RGB").quantize(128).save(file, optimize=True)
            bytes_of = file.stat().st_size
            print(f"{file.relative_to(ROOT)}: {bytes_of:,} bytes")
            if bytes_of > MOST_BYTES:
                raise SystemExit(f"{file} has over {MOST_BYTES:,} bytes")
        browser.close()


def main() -> None:
    if len(sys.argv) > 1:
        take(sys.argv[1])
        return
    with running() as url:
        take(url)


if __name__ == "__main__":
    main()
