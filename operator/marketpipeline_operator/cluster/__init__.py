"""I/O with the cluster: the API server, its errors, what its watches said, events and the Lease."""
