"""Observe, plan, compare, apply: what makes a pipeline be as its resource says."""
