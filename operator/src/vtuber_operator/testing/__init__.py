"""Test doubles of the operator's environment: a cluster in memory, an API server, a Redis."""
