"""Requests that are kept with their answers, and become raw files of their day."""
