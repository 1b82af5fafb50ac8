"""What differs between the stores in the SQL of a panel. Tables and columns have the same names in each."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CLICKHOUSE", "TIMESCALE", "Store"]


@dataclass(frozen=True)
class Store:
    """A store that Grafana reads by SQL. `plugin` is the id of the data source's plugin."""

    name: str
    title: str
    plugin: str

    @property
    def is_clickhouse(self) -> bool:
        return self.name == "clickhouse"

    def table(self, name: str) -> str:
        """A table, each of its records once: ClickHouse merges versions of a row only in its own time."""
        return f"{name} FINAL" if self.is_clickhouse else name

    def bucket(self, column: str) -> str:
        """The begin of the interval of the panel's resolution that a time is in."""
        return f"$__timeInterval({column})" if self.is_clickhouse else f"$__timeGroup({column}, $__interval)"

    def last(self, value: str, by: str) -> str:
        """The value of the newest row of a group."""
        if self.is_clickhouse:
            return f"argMax({value}, {by})"
        return f"(array_agg({value} ORDER BY {by} DESC))[1]"

    def sampled(self, *measures: str, several: bool) -> str:
        """Of each interval of the panel's resolution the last book of the chosen symbol, or of each of `several`.

        In PostgreSQL one row is looked up in the index for each interval, so that a day takes no longer than an hour:
        to aggregate all that it has of five symbols took two seconds. ClickHouse reads its columns; time and id are one
        number there, as to compare tuples takes four times as long.
        """
        if self.is_clickhouse:
            order = "bitShiftLeft(toInt128(toUnixTimestamp64Micro(event_time)), 64) + update_id"
            newest = ", ".join(f"argMax({name}, {order}) AS {name}" for name in measures)
            which = "symbol IN (${symbol:sqlstring})" if several else "symbol = ${symbol:sqlstring}"
            symbol = ", symbol" if several else ""
            return (
                f"SELECT {self.bucket('event_time')} AS time{symbol}, {newest} FROM {self.table('book_metrics')}"
                f" WHERE {which} AND $__timeFilter(event_time) GROUP BY time{symbol} ORDER BY time"
            )
        begin, end = (f"extract(epoch FROM $__time{word}()::timestamptz) * 1000" for word in ("From", "To"))
        step = "$__interval_ms"
        names = "unnest(ARRAY[${symbol:sqlstring}])" if several else "(VALUES (${symbol:sqlstring}))"
        return (
            f"SELECT to_timestamp(at / 1000.0) AS time, {'names.symbol, ' if several else ''}newest.*"
            f" FROM generate_series(floor(({begin}) / {step})::bigint * {step}, ({end})::bigint, {step}) AS at"
            f" CROSS JOIN {names} AS names(symbol) CROSS JOIN LATERAL (SELECT {', '.join(measures)} FROM book_metrics"
            f" WHERE symbol = names.symbol AND $__timeFilter(event_time) AND event_time >= to_timestamp(at / 1000.0)"
            f" AND event_time < to_timestamp((at + {step}) / 1000.0)"
            " ORDER BY event_time DESC, update_id DESC LIMIT 1) AS newest ORDER BY 1"
        )

    def first(self, value: str, by: str) -> str:
        """The value of the oldest row of a group."""
        if self.is_clickhouse:
            return f"argMin({value}, {by})"
        return f"(array_agg({value} ORDER BY {by}))[1]"

    @property
    def deviation(self) -> str:
        """The function of a sample's standard deviation."""
        return "stddevSamp" if self.is_clickhouse else "stddev_samp"

    @property
    def exchange(self) -> str:
        """The exchange of a symbol, which is before its colon."""
        return "splitByChar(':', symbol)[1]" if self.is_clickhouse else "split_part(symbol, ':', 1)"


TIMESCALE = Store("timescale", "TimescaleDB", "grafana-postgresql-datasource")
CLICKHOUSE = Store("clickhouse", "ClickHouse", "grafana-clickhouse-datasource")
