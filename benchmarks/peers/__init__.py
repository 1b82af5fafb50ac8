"""Other stream processors on two of the stream job's tasks, each with an environment of its own in .cache/peers."""
