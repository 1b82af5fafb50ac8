"""The stream job: what Flink says of it, its savepoints, and its life from one start to the next."""
