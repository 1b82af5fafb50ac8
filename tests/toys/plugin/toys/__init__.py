"""Plugins as somebody else would write them: nothing of the project knows this package."""
