"""What it takes to run the platform as services."""
