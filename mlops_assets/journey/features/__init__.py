"""Rows become what the model sees, by the one SQL of the use case."""
