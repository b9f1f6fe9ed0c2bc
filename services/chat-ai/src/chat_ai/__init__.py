"""Second link of the legacy chain: the whole reply, by the same models and persona as the engine's."""
