"""The use cases: one folder each."""
