"""Every wait of the end-to-end tests, in seconds, by what is waited for."""

TURN = 20.0
SPEECH_BEGINS = 10.0
STOPPED = 3.0
SERVICE_RESTARTED = 20.0
ALL_ENDED = 5.0
ENDED_FOR_SURE = 10.0
READY_AGAIN = 8.0
VIEWER_GIVEN_UP = 20.0
BREAK_SEEN = 3.0
PAGE_BACK = 15.0
"""A page that was cut off for some seconds waits up to eight before it calls again."""

REDIS_NOTICED = 5.0
REDIS_LOOKED_FOR_AGAIN = 1.5
"""A service that found Redis away leaves it alone for a second."""

FLAGS_EVERYWHERE = 5.0
LEASE = 4  # a session waits 3 s for an engine that is gone
