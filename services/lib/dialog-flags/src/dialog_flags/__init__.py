"""Feature flags: their names, their requirements and their sources."""
