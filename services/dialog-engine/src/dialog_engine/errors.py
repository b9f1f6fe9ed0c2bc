"""Errors of the engine beside those of a turn (which are events: see `turn/machine.py`).

ServiceError
├── TurnTaken (409 turn_taken)      another message already has this number; says the next free one
├── TurnLost (409 turn_lost)        a caller resumes a turn that no engine knows: it died with its engine, before its commit
├── Busy (409 busy)                 a turn is speaking and must not be interrupted
├── TooManyTurns (429)              this process has as many turns as it can serve
├── ClientBusy (429 client_busy)    one client has as many turns as it may have: no other path shall answer either
├── NotOwner (421 not_owner)        another engine has the session; says which
└── Draining (503 draining)         this engine ends and begins nothing any more
MemoryClosed                        the database thread is gone: the service is ending
"""

from dialog_contracts.http import CLIENT_BUSY
from service_runtime.http.errors import Conflict, Misdirected, TooMany, Unavailable


class TurnNumberTaken(Conflict):
    """The number belongs to another message."""

    default_code = "turn_taken"


class TurnLost(Conflict):
    """Going on under its number would join two different replies: the message has to be sent again, as a new one."""

    default_code, retryable = "turn_lost", True


class TurnInProgress(Conflict):
    """The running turn was started without SYNC_TTS_BARGE_IN."""

    default_code = "busy"


class TooManyTurns(TooMany):
    """The engine is full."""

    default_code = "too_many_turns"


class ClientBusy(TooMany):
    """One client address has enough."""

    default_code = CLIENT_BUSY


class NotLeaseHolder(Misdirected):
    """Another engine has the session."""


class Draining(Unavailable):
    """Another engine takes the session."""

    default_code = "draining"


class StoreClosed(RuntimeError):
    """The database is closed."""
