"""Sessions of this engine: their state in memory, leases, history, commands and hand-off."""
