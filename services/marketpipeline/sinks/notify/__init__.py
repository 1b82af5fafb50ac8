"""Notifications: alerts as messages to people and to programs that page people."""

from __future__ import annotations

from marketpipeline.sinks.notify.sink import NotifySink, from_settings

__all__ = ["NotifySink", "from_settings"]
