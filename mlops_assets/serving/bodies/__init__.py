"""What a request brings: its query, and files out of forms, raw bodies, ZIP files, rows of JSON, and pictures."""
