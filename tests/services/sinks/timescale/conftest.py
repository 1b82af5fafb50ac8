from tests.support.pgbouncer import pgbouncer  # noqa: F401
