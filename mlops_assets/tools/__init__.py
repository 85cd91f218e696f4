"""What helps with a use case beside its days: sample files, imports, drafts of a new one, the demo."""
