"""What the first start of a pipeline would plan, planned ahead: `python -m marketpipeline.local.prepare FILE`.

The set-up asks so for the pipeline that is run where none is named. Nothing is started but the planner.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from marketpipeline.errors import MarketPipelineError, PermanentError
from marketpipeline.local.environment import child_environment
from marketpipeline.local.options import RunOptions
from marketpipeline.local.prerequisites import find_java
from marketpipeline.local.stack import assemble
from marketpipeline.local.state import StateFolder
from marketpipeline.plan import plan
from marketpipeline.settings.local import LocalSettings
from marketpipeline.spec import MarketPipeline, load_file

__all__ = ["prepare"]

_TIMEOUT = 300.0
"""Seconds; planning takes a part of a minute."""


def prepare(pipeline: MarketPipeline) -> None:
    """Keep the graph of its stream job as a run would. Raises PermanentError with what the job said."""
    places, options = LocalSettings(), RunOptions()
    with tempfile.TemporaryDirectory(prefix="marketpipeline-") as folder:
        state = StateFolder.open(Path(folder) / "state", pipeline.name, options.source)
        try:
            stack = assemble(pipeline, plan(pipeline), options, state, places, find_java(places.java_home))
        finally:
            state.close()
        if (job := stack.stream_job) is None:
            return
        environment = child_environment(job.environment or {})
        command = [*job.arguments, "--prepare"]
        try:
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, check=False, timeout=_TIMEOUT
            )
        except subprocess.TimeoutExpired as error:
            message = f"the stream job is not planned ahead: it took more than {_TIMEOUT:g} s; the first run plans it"
            raise PermanentError(message) from error
    if done.returncode != 0:
        raise PermanentError(f"the stream job is not planned ahead:\n{done.stdout}{done.stderr}")


def main() -> int:
    """Status 0 when it is there."""
    try:
        prepare(load_file(Path(sys.argv[1])))
    except (MarketPipelineError, IndexError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
