"""Credit-card transactions: the flagship."""
