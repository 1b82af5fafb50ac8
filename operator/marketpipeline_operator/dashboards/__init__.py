"""Grafana's dashboards as code: one definition for every store that keeps the history, and one for Prometheus.

`files` gives the JSON that the chart ships; it is generated, so Grafana's SDK is needed by nobody who installs it.
"""
