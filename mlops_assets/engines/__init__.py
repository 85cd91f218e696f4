"""Engines map a function over shards; see `mlops_assets.journey.shards.Engine`."""
