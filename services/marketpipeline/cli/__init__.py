"""The `marketpipeline` command: what a person types, and what every container runs.

A command reads its arguments, hands them to a service or the core, and prints what comes back. A command's module
is imported when it is called, so that each image needs only the libraries of its own component.
"""

from __future__ import annotations

from marketpipeline.cli.main import cli, main

__all__ = ["cli", "main"]
