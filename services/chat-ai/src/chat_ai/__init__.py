"""Legacy: second service of the legacy pipeline; generates whole replies."""
