"""Legacy: first service of the legacy pipeline; stores messages and orders turns."""
