"""Ways of watching a day, each a script of its own: reference and day as Parquet in, what it found red as JSON out."""
