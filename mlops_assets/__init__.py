"""Daily machine-learning predictions for folders of raw files, as a Dagster asset graph."""

__version__ = "0.1.0"
