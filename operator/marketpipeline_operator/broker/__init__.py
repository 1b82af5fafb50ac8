"""I/O with the broker: topics by the AdminClient, thresholds into the thresholds topic."""
