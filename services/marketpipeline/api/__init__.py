"""The query API: what the stores hold, over HTTP, and the readings that the `query` command shares."""
