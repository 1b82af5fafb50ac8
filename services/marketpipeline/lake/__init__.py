"""The lake's I/O, shared by those that write it (sinks) and those that read it (`marketpipeline.readers`)."""
