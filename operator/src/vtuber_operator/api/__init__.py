"""The VtuberSession API: spec, status, permissions."""
