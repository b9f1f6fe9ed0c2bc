"""asyncio primitives that every service uses."""
