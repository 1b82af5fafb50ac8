"""The stream job of a MarketPipeline: SQL generated from the spec, run by Flink."""
