"""`python -m marketpipeline`."""

from __future__ import annotations

from marketpipeline.cli import main

if __name__ == "__main__":
    main()
