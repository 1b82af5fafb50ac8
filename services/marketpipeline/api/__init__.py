"""The query API over HTTP, and the reading of the history that the command line shares with it."""
