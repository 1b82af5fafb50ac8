"""Recording: what a live exchange sends, written as a capture that can be replayed."""
