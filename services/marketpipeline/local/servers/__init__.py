"""Servers of one machine that this project has to put around an engine: each a program with an extra of its own."""
