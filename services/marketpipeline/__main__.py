"""`python -m marketpipeline`."""

from __future__ import annotations

import sys

if __name__ == "__main__" and not sys.flags.safe_path:
    del sys.path[0]  # the working folder: a redis.py in it is not the one that is meant

from marketpipeline.cli import main

if __name__ == "__main__":
    main()
