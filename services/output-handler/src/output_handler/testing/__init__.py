"""A session on stage, for tests; never imported by a service."""
