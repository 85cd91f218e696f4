"""Servers of models: each is asked for what a champion says of 50 ready-made vectors, in its own best documented way."""
