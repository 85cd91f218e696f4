"""What a run of a day would do, and how long it would take, without doing it."""
