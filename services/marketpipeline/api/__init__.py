"""The query API over HTTP: what the stores hold, asked through `marketpipeline.readers`."""
