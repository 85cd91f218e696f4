"""What answers: champions, each loaded once, and a batcher that asks them for many files at a time."""
