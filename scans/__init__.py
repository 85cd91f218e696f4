"""What `make lint` looks at besides the code: locked packages with a known weakness, and secrets in tracked files."""
