"""What tests of the operator need beside it: a cluster in memory, an API server, a Redis."""
