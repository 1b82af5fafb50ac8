from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from marketpipeline.sink_kinds.clickhouse import ClickHouseStoreSettings
from marketpipeline.store.clickhouse import client_options, verdict
from marketpipeline.store.sqlstate import Verdict
from pydantic import SecretStr


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://u@h/d", ("http", "h", 8123, "u", "d")),
        ("https://h:9443/d", ("https", "h", 9443, "default", "d")),
        ("https://a%40b@[::1]/d", ("https", "::1", 8443, "a@b", "d")),
    ],
)
def test_where_a_server_is(url: str, expected: tuple[str, str, int, str, str]) -> None:
    found = client_options(ClickHouseStoreSettings(url=url), timeout=1.0)
    assert tuple(found[name] for name in ("interface", "host", "port", "username", "database")) == expected


def test_with_an_authority_it_is_tls_and_a_certificate_stands_for_the_password_where_there_is_none() -> None:
    own: dict[str, Any] = {"url": "http://u@h/d", "ca": "CA", "certificate": "C", "key": SecretStr("K")}
    found = client_options(ClickHouseStoreSettings(**own), timeout=1.0)
    assert (found["interface"], found["port"], found["tls_mode"]) == ("https", 8443, "mutual")
    assert [Path(found[name]).read_text() for name in ("ca_cert", "client_cert", "client_cert_key")] == ["CA", "C", "K"]
    both = client_options(ClickHouseStoreSettings(**own, password=SecretStr("p")), timeout=1.0)
    assert both["tls_mode"] == "strict"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (516, Verdict.NEVER),
        (243, Verdict.AGAIN),
        (469, Verdict.ROW),
        (60, Verdict.RECONNECT),
        (None, Verdict.RECONNECT),
    ],
)
def test_what_a_code_means(code: int | None, expected: Verdict) -> None:
    assert verdict(code) is expected
