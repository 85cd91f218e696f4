"""Topics: one text file a record, read by its words."""
