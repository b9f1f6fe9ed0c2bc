"""A deterministic simulation of engines, Redis and workers; see `world.py`."""
