"""Stand-ins for what is behind input-handler, for tests; never imported by a service."""
