"""How often lamps are red on quiet days, and on damaged ones: `python -m benchmarks.lamps --help`."""
