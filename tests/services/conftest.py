from tests.support.broker import broker
from tests.support.clickhouse import clickhouse

__all__ = ["broker", "clickhouse"]
