"""Servers of models: each answers ready-made vectors by the estimator of a champion, in its own best documented way."""
