"""Last link of the legacy chain: the whole reply as one file, in the same voices as the engine's."""
