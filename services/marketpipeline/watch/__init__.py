"""The watch over feeds that went quiet: a command that a platform runs every few minutes."""
