"""What the benchmark of ingestion is made of: frames, a socket that sends them, and the two contenders."""
