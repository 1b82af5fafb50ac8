"""What alerts, statistics and patterns a sequence of book rows and trades has, computed from the definitions alone.

It shares no code with the pipeline and looks at whole lists instead of keeping state; the stream job is held against
it, and its own invariants are tested beside it. Rows are those of `tests.e2e.oracle`, in the order of their topic.
"""
