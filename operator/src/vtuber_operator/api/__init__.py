"""The VtuberSession API: spec, status and permissions."""
