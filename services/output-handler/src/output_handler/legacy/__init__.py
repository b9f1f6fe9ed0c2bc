"""Legacy: clients of the older dialect, and responses of the legacy pipeline."""
