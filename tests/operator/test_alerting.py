"""The alerts of a pipeline in a running Prometheus, told by Alertmanager, while a real sink loses its store."""

from __future__ import annotations

import json
import queue
import re
import subprocess
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import free_port, wait_for
from tests.operator.builders.support import context_of
from tests.operator.builders.test_monitoring import rule_of
from tests.services.sinks.running import SinkProcess
from tests.services.sinks.samples import trade
from tests.services.sinks.topics import Topics
from tests.support.broker import RunningBroker
from tests.support.prometheus import alertmanager, prometheus_program
from tests.support.tied import tied
from tests.support.valkey import RunningValkey

pytestmark = pytest.mark.timeout(180)

_LABELS = {"namespace": "markets", "marketpipeline_dev_pipeline": "crypto"}


def hastened(rules: Any) -> Any:
    """A test waits for no minutes: what has to last, lasts a second."""
    for rule in rules["groups"][0]["rules"]:
        if "alert" in rule:
            rule["for"] = "1s"
            rule["expr"] = re.sub("> 60$", "> 1", rule["expr"])
    return rules


class Pager:
    """Takes what Alertmanager sends: pairs of status and the names of the alerts."""

    def __init__(self) -> None:
        self.told: queue.Queue[tuple[str, str]] = queue.Queue()
        told = self.told

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                for alert in body["alerts"]:
                    told.put((alert["status"], alert["labels"]["alertname"]))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Nothing: a test's output is its own."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def hears(self, status: str, name: str) -> None:
        """Wait until this is told; what else is told meanwhile does not matter here."""
        while self.told.get(timeout=60) != (status, name):
            pass


class Watch:
    """Prometheus with a pipeline's rules, one target, and an Alertmanager that tells the pager."""

    def __init__(self, folder: Path, target: int, pager: Pager) -> None:
        self.port, alerts = free_port(), free_port()
        files = {
            "rules.yaml": hastened(rule_of(context_of())["spec"]),
            "prometheus.yaml": {
                "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
                "rule_files": ["rules.yaml"],
                "alerting": {"alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{alerts}"]}]}]},
                "scrape_configs": [
                    {
                        "job_name": "pods",
                        "static_configs": [{"targets": [f"127.0.0.1:{target}"], "labels": _LABELS | {"pod": "sink"}}],
                    }
                ],
            },
            "alertmanager.yaml": {
                "route": {"receiver": "pager", "group_by": ["alertname"], "group_wait": "1s", "group_interval": "1s"},
                "receivers": [{"name": "pager", "webhook_configs": [{"url": pager.url}]}],
            },
        }
        for name, content in files.items():
            (folder / name).write_text(yaml.safe_dump(content))
        self._log = (folder / "log").open("wb")
        self._processes = [
            self._start(
                *alertmanager(
                    f"--config.file={folder}/alertmanager.yaml",
                    f"--storage.path={folder}/alerts",
                    f"--web.listen-address=127.0.0.1:{alerts}",
                    "--cluster.listen-address=",
                ),
            ),
            self._start(
                str(prometheus_program("prometheus")),
                f"--config.file={folder}/prometheus.yaml",
                f"--storage.tsdb.path={folder}/series",
                f"--web.listen-address=127.0.0.1:{self.port}",
            ),
        ]

    def _start(self, *command: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(tied(command), stdout=self._log, stderr=self._log)

    def series(self) -> set[str]:
        """The names of all series that were scraped."""
        address = f"http://127.0.0.1:{self.port}/api/v1/label/__name__/values"
        try:
            with urllib.request.urlopen(address, timeout=5) as answer:
                return set(json.load(answer)["data"])
        except OSError:
            return set()

    def close(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()
        self._log.close()


def test_a_store_that_goes_away_and_a_sink_that_ends_reach_the_pager(
    broker: RunningBroker,
    valkey: RunningValkey,
    tmp_path: Path,
) -> None:
    topics, pager = Topics(broker), Pager()
    for part in ("sink", "watch"):
        (tmp_path / part).mkdir()
    sink = SinkProcess(tmp_path / "sink", "sink-redis", topics, {"url": valkey.url, "prefix": valkey.prefix()})
    watch = Watch(tmp_path / "watch", sink.port, pager)
    try:
        sink.start()
        used = set(re.findall(r"marketpipeline_sink_\w+", json.dumps(rule_of(context_of()))))
        topics.put(trade(1))
        wait_for(lambda: used <= watch.series(), f"Prometheus has all of {used}", seconds=60)
        valkey.kill()
        topics.put(trade(2))
        pager.hears("firing", "MarketPipelineSinkAway")
        valkey.start()
        pager.hears("resolved", "MarketPipelineSinkAway")
        sink.close()
        pager.hears("firing", "MarketPipelineProcessDown")
    finally:
        sink.close()
        watch.close()
        pager.server.shutdown()
        if not valkey.serves():
            valkey.start()
