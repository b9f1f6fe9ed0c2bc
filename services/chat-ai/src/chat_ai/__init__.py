"""Legacy: second service of the legacy pipeline; generates the whole reply of a turn."""
