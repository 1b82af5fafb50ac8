"""`python -m marketpipeline_operator.crd [FILE]`: write the CRD to FILE, or print it."""

from __future__ import annotations

import sys
from pathlib import Path

from marketpipeline_operator.crd import custom_resource_definition_yaml


def main(arguments: list[str]) -> int:
    """Write or print; 0."""
    if arguments:
        Path(arguments[0]).write_text(custom_resource_definition_yaml(), encoding="utf-8")
    else:
        sys.stdout.write(custom_resource_definition_yaml())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
