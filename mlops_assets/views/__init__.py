"""What people see of the platform, as text, JSON or HTML; nothing here knows Dagster."""
