"""For all tests of the repository."""

import asyncio

# pytest-asyncio 1.5 asks for the current event loop before it sets its own; asyncio then makes one that nobody closes, and the
# warning about it would fail the run. Said once that there is none, asyncio makes none.
asyncio.set_event_loop(None)
