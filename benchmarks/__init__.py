"""Measures the daily journey beside other ways of doing the same; `make bench` runs it."""
