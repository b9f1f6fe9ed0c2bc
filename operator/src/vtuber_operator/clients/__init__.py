"""Clients of the API server and of Redis."""
