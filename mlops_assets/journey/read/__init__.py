"""Raw files are listed, and read into typed rows and rejects."""
