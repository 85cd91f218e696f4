"""Rows of a day become predictions."""
