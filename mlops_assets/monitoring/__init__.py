"""What a day is compared with, and what is said of it: drift, quality, estimates, degradation."""
