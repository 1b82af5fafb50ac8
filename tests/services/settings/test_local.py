"""Which way leads out of this machine."""

from __future__ import annotations

import pytest
from marketpipeline.settings.local import proxy_for

NAMES = ("all_proxy", "http_proxy", "https_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def _no_proxy_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize(
    ("url", "environment", "expected"),
    [
        ("https://x.example", {}, None),
        ("https://x.example", {"HTTPS_PROXY": "http://proxy:3128"}, "http://proxy:3128"),
        ("wss://x.example:9443", {"https_proxy": "http://proxy:3128"}, "http://proxy:3128"),
        ("ws://x.example", {"HTTP_PROXY": "http://u:p@proxy:1"}, "http://u:p@proxy:1"),
        ("https://x.example", {"HTTP_PROXY": "http://proxy:1"}, None),
        ("https://x.example", {"ALL_PROXY": "socks5h://proxy:1080"}, "socks5://proxy:1080"),
        ("https://x.example", {"HTTPS_PROXY": "proxy:3128"}, "http://proxy:3128"),
        ("https://x.example", {"HTTPS_PROXY": "http://proxy:1", "NO_PROXY": "other,.example"}, None),
        ("https://localhost:1", {"HTTPS_PROXY": "http://proxy:1"}, None),
        ("http://127.9.9.9:1", {"ALL_PROXY": "http://proxy:1"}, None),
        ("http://[::1]:1", {"ALL_PROXY": "http://proxy:1"}, None),
    ],
)
def test_proxy_for(
    url: str, environment: dict[str, str], expected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert proxy_for(url) == expected
