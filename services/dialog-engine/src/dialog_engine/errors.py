"""Errors of the engine; errors within a turn are events (see `turn/state_machine.py`).

    ServiceError
    ├── TurnNumberTaken  409 turn_taken       another message has this number; names the next one
    ├── TurnLost         409 turn_lost        the turn to resume was lost before its commit
    ├── TurnInProgress   409 busy             the running turn must not be interrupted
    ├── TooManyTurns     429 too_many_turns   limit of this process
    ├── ClientBusy       429 client_busy      limit of one client; the fallback must not answer
    ├── NotLeaseHolder   421                  another engine has the session; names it
    └── Draining         503 draining         this engine shuts down

Errors of the database are in `dialog_sqlite/errors.py`.
"""

from dialog_contracts.http import CLIENT_BUSY
from service_runtime.http.errors import Conflict, Misdirected, TooMany, Unavailable


class TurnNumberTaken(Conflict):
    """The turn number belongs to another message."""

    default_code = "turn_taken"


class TurnLost(Conflict):
    """The turn to resume is unknown: its engine ended before the commit.

    A new reply under the old number would join two different texts, so the client must send the
    message again as a new one.
    """

    default_code, retryable = "turn_lost", True


class TurnInProgress(Conflict):
    """The running turn was started without SYNC_TTS_BARGE_IN."""

    default_code = "busy"


class TooManyTurns(TooMany):
    """The engine runs as many turns as it may."""

    default_code = "too_many_turns"


class ClientBusy(TooMany):
    """One client address has as many running turns as it may."""

    default_code = CLIENT_BUSY


class NotLeaseHolder(Misdirected):
    """Another engine holds the session's lease."""


class Draining(Unavailable):
    """The engine shuts down and begins no turn."""

    default_code = "draining"
