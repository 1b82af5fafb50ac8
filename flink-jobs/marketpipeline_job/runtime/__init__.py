"""Everything around the queries: Flink's configuration, its JVM, checkpoints, health and the life of the process."""
