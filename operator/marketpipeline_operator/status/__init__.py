"""What the operator says of a pipeline: pure functions from what was observed to the status."""
