"""I/O with a JobManager of the operator's own, for savepoints."""
