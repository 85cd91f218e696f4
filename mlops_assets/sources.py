"""The name under which classes of people's own import what a source hands on; the sources are in `journey.read`."""

from mlops_assets.plugins.sources import Entry, Source, SourceError

__all__ = ["Entry", "Source", "SourceError"]
