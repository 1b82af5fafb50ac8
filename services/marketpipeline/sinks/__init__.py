"""Sinks: from the topics into the stores. One runner, one small interface, one contract that each sink keeps."""
