"""A model, its safe form on disk, the registry of versions, and who was champion when."""
