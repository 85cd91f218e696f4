"""What happened that somebody wants to hear of, and the channels by which it is told."""
