"""A drill: quiet days, a damaged one after them, and what somebody sees of it; `python -m benchmarks.drill`."""
