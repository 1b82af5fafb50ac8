"""`kubectl marketpipeline`: what a person who runs pipelines on a cluster wants to see and to do, in one word each.

A program of the user's machine with the user's own rights: it reads and annotates, the operator acts.
"""

from __future__ import annotations

from marketpipeline_operator.plugin.commands import main

__all__ = ["main"]
