"""marketpipeline: a `MarketPipeline` in YAML becomes a whole real-time market-data system.

The core, which everything may import: `spec` (the resource), `plan` (what it takes to run it), `records` and
`topics` (what crosses the broker), `venues` (the exchanges), `settings`, `telemetry`, `kafka`, `errors`.
The services, which never import each other: `ingestion`, `sinks`, `api`, `exchange`, `local`. The command
line, `cli`, puts them together.
"""

__version__ = "0.1.0"
