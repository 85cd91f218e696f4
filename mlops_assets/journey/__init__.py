"""The pure steps, in the order in which the data moves; nothing here knows Dagster."""
