"""Legacy: first service of the legacy pipeline; stores messages, numbers turns, keeps their order."""
