"""Follow a page of the documentation as a reader would: `python scripts/follow.py [PAGE]`, by default the tutorial.

In an empty folder each file that the page gives is written and each command of its `console` blocks run, word by word,
in order. A run that does not end by itself goes on beside those that follow and gets Ctrl-C before the next `run`; what
asks it is asked again until there is an answer, as somebody would. Commands of kubectl are told and left out. Prints
each command with the seconds that it took; ends with 1 at the first that fails.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"^```(\w+)(?: title=\"(\S+)\")?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PATIENCE_SECONDS = 120.0


class Reader:
    """Somebody with a folder and two terminals."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._environment = os.environ | {"PATH": f"{ROOT / '.venv' / 'bin'}:{os.environ['PATH']}", "NO_COLOR": "1"}
        self._run: subprocess.Popen[bytes] | None = None

    def follow(self, page: str) -> None:
        """Raises SystemExit where the page does not hold."""
        for kind, file, text in BLOCK.findall(page):
            if file:
                (self._folder / file).write_text(text)
            for line in text.splitlines() if kind == "console" else ():
                if line.startswith("kubectl "):
                    print(f"         -  {line}")
                elif line.startswith(("$ marketpipeline ", "marketpipeline ")):
                    self._do(line.removeprefix("$ "))

    def end(self) -> None:
        """Ctrl-C in the terminal of the run; raises SystemExit where it does not end well."""
        if self._run is None:
            return
        self._run.send_signal(signal.SIGINT)
        status, self._run = self._run.wait(PATIENCE_SECONDS), None
        if status not in (0, 130):
            raise SystemExit(f"the run ended with {status} after Ctrl-C:\n{(self._folder / 'run.log').read_text()}")

    def _do(self, line: str) -> None:
        began, words = time.monotonic(), shlex.split(line)
        if words[1] == "run":
            self.end()
        if words[1] == "run" and "--until-drained" not in words:
            with (self._folder / "run.log").open("wb") as log:
                self._run = subprocess.Popen(words, cwd=self._folder, env=self._environment, stdout=log, stderr=log)
            seconds = 0.0
        else:
            self._answered(words, line)
            seconds = time.monotonic() - began
        print(f"{seconds:8.1f} s  {line}", flush=True)

    def _answered(self, words: list[str], line: str) -> None:
        """A command that ends. With a mistake in the file it is meant to end with 2."""
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            done = subprocess.run(words, cwd=self._folder, env=self._environment, capture_output=True, check=False)
            empty = words[1] == "query" and not re.search(rb"\d", done.stdout)
            if (done.returncode == 0 and not empty) or (words[1] == "validate" and done.returncode == 2):
                return
            if self._run is not None and self._run.poll() is not None:
                raise SystemExit(f"the run has ended:\n{(self._folder / 'run.log').read_text()}")
            if words[1] not in ("query", "apply") or time.monotonic() > until:
                raise SystemExit(f"{line}: {done.returncode}\n{(done.stdout + done.stderr).decode()}")
            time.sleep(1.0)


def main() -> None:
    page = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "docs" / "tutorial.md").read_text()
    with tempfile.TemporaryDirectory(prefix="follow-") as name:
        Path(name).chmod(0o711)
        reader = Reader(Path(name))
        try:
            reader.follow(page)
        finally:
            reader.end()


if __name__ == "__main__":
    main()
