"""Where the platform of one machine finds what it runs: what the set-up has installed, unless the environment says."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from pydantic import AliasChoices, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from marketpipeline.setup.places import places

__all__ = ["LocalSettings", "is_loopback", "proxy_for"]


class LocalSettings(BaseSettings):
    """What the set-up installs, and the machine's Java."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True, env_prefix="MARKETPIPELINE_")

    java_home: str | None = Field(
        default=None,
        validation_alias=AliasChoices("JAVA_HOME", "java_home"),
        description="Home of the Java to run; the one on the path without it.",
    )
    setup: bool = Field(
        default=True, description="Whether `marketpipeline run` installs what is absent, where it came as a wheel."
    )
    kafka_jars: Path = Field(default_factory=lambda: places().kafka_jars, description="Folder of the broker's jars.")
    flink_python: Path = Field(
        default_factory=lambda: places().flink_python, description="Python of the stream job's environment."
    )
    flink_jars: Path = Field(
        default_factory=lambda: places().flink_jars, description="Folder of the stream job's jars."
    )
    listing_seconds: float = Field(
        default=60.0, gt=0, description="Time between two questions to an exchange about what a selector stands for."
    )
    ca_file: Path | None = Field(
        default=None,
        validation_alias=AliasChoices("SSL_CERT_FILE", "ca_file"),
        description="Certificate authorities to trust at an exchange, in PEM form, in place of the well-known ones.",
    )


def is_loopback(host: str) -> bool:
    """Whether `host`, of a URL, is this machine by its name or address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def proxy_for(url: str) -> str | None:
    """The proxy that `HTTPS_PROXY` and its like name for an http, https, ws or wss URL, unless `NO_PROXY` has its host.

    What is on the loopback is never reached through one.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if is_loopback(host) or proxy_bypass(host):
        return None
    proxies = getproxies()
    found = proxies.get({"ws": "http", "wss": "https"}.get(parts.scheme, parts.scheme)) or proxies.get("all")
    if not found:
        return None
    scheme, separator, rest = found.rpartition("://")
    return f"{scheme.replace('socks5h', 'socks5') if separator else 'http'}://{rest}"
