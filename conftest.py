"""For all tests: hypothesis without deadlines, because machines are noisy; times are judged by the bench."""

import asyncio

from hypothesis import settings

settings.register_profile("noisy", deadline=None)
settings.load_profile("noisy")

# looptime asks for the current event loop before plain tests too; asyncio then makes one that nobody closes, and the warning about
# it fails whichever test runs when it is collected. Said once that there is none, asyncio makes none.
asyncio.set_event_loop(None)
