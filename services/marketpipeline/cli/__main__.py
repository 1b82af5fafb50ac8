"""`python -m marketpipeline.cli`."""

from __future__ import annotations

from marketpipeline.cli.main import main

if __name__ == "__main__":
    main()
