"""What a process of a run takes over from the shell."""

from __future__ import annotations

import os

import pytest
from marketpipeline.local.environment import child_environment, without_libpq_variables

HOSTILE = {
    "ALL_PROXY": "socks5://127.0.0.1:9",
    "CLASSPATH": "/nowhere",
    "FLINK_CONF_DIR": "/nowhere",
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "HTTP_PROXY": "http://127.0.0.1:9",
    "JAVA_TOOL_OPTIONS": "-Duser.language=tr -Xnonsense",
    "JDK_JAVA_OPTIONS": "-Xnonsense",
    "KAFKA_HEAP_OPTS": "-Xnonsense",
    "KAFKA_OPTS": "-Xnonsense",
    "LANG": "tr_TR.ISO-8859-9",
    "LC_ALL": "xx_YY",
    "LD_PRELOAD": "",
    "MARKETPIPELINE_HTTP__PORT": "9100",
    "MARKETPIPELINE_KAFKA__PASSWORD": "x",
    "OTEL_SDK_DISABLED": "true",
    "PGCHANNELBINDING": "require",
    "PGHOSTADDR": "192.0.2.1",
    "PGOPTIONS": "-cnonsense=1",
    "PGSERVICE": "nonsense",
    "PGSSLMODE": "require",
    "PYTHONSTARTUP": "/nowhere",
    "PYTHONWARNINGS": "error",
    "REQUESTS_CA_BUNDLE": "/nowhere",
    "SSL_CERT_DIR": "/nowhere",
    "SSL_CERT_FILE": "/nowhere",
    "TMPDIR": "/nowhere",
    "_JAVA_OPTIONS": "-Xnonsense",
}
"""What a shell may hold; each of these made a run fail or behave differently, or would have."""


def test_nothing_of_the_shell_is_taken_over_but_what_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in HOSTILE.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.setenv("MARKETPIPELINE_TELEMETRY__LOG_LEVEL", "DEBUG")
    found = child_environment({"JAVA_HOME": "/java"})
    assert {name: found.get(name) for name in HOSTILE if name in found} == {"LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}
    assert found["HOME"] == "/home/somebody"
    assert found["PATH"] == os.environ["PATH"]
    assert found["MARKETPIPELINE_TELEMETRY__LOG_LEVEL"] == "DEBUG"
    assert found["JAVA_HOME"] == "/java"


def test_libpq_of_this_process_finds_no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGSERVICE", "nonsense")
    with without_libpq_variables():
        assert not [name for name in os.environ if name.startswith("PG")]
    assert os.environ["PGSERVICE"] == "nonsense"
