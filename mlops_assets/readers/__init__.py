"""From the bytes of raw files to columns of text, each row with its file and line."""
