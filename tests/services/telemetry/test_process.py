"""All of it together, in a process of its own: meters and loggers belong to the whole process."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap

PROGRAM = """
import json, logging, urllib.request
from marketpipeline.settings import ApiSettings, HttpSettings
from marketpipeline.telemetry import Health, Telemetry

settings = ApiSettings(pipeline="crypto", http=HttpSettings(host="127.0.0.1", port=0), symbols=[], windows=[])
telemetry = Telemetry.start(settings, "api", lambda: Health("ok", {"connected": True}))
count = 41
telemetry.meter.create_observable_counter(
    "ingestion.frames", callbacks=[lambda options: [__import__("opentelemetry.metrics").metrics.Observation(count)]]
)
histogram = telemetry.meter.create_histogram("hop.store", unit="s")
for value in (0.0009, 0.02, 70):
    histogram.record(value, {"sink": "redis"})
count += 1
base = f"http://127.0.0.1:{telemetry.server.port}"
print(json.dumps({path: urllib.request.urlopen(base + path).read().decode() for path in ("/health", "/metrics")}))
logging.getLogger("x").warning("said")
telemetry.close()
"""


def test_a_process_shows_itself() -> None:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PROGRAM)], capture_output=True, text=True, timeout=60, check=True
    )
    said = json.loads(done.stdout)
    assert json.loads(said["/health"]) == {"status": "ok", "connected": True}
    metrics = said["/metrics"]
    samples = dict(line.rsplit(" ", 1) for line in metrics.splitlines() if line and not line.startswith("#"))
    frames = {
        name: value for name, value in samples.items() if name.startswith("marketpipeline_ingestion_frames_total")
    }
    assert list(frames.values()) == ["42.0"]
    buckets = {name: value for name, value in samples.items() if "hop_store_seconds_bucket" in name}
    for bound, expected in (("0.001", "1.0"), ("60", "2.0"), ("+Inf", "3.0")):
        assert [value for name, value in buckets.items() if f'le="{bound}"' in name] == [expected], buckets
    assert 'service_name="api"' in metrics
    assert 'service_namespace="crypto"' in metrics
    (entry,) = [json.loads(line) for line in done.stderr.splitlines()]
    assert (entry["component"], entry["message"]) == ("api", "said")
