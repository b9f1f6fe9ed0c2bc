"""Feature flags: names, needs, sources."""
