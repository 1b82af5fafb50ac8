"""The stores, seen from the API: one module each does its I/O, and turns its errors into this project's."""

from __future__ import annotations

from marketpipeline.api.stores.cache import Cache
from marketpipeline.api.stores.database import Database
from marketpipeline.api.stores.newest import Newest

__all__ = ["Cache", "Database", "Newest"]
