"""Errors of output-handler.

ServiceError
├── UnknownSession (404 unknown_session)
└── BargeInOff (409 barge_in_off)    the running turn was started without SYNC_TTS_BARGE_IN
"""

from typing import Final

from service_runtime.http.errors import Conflict, NotFound

BARGE_IN_OFF: Final = "this turn was started without SYNC_TTS_BARGE_IN and cannot be stopped"


class UnknownSession(NotFound):
    """404: the session was never played."""

    default_code = "unknown_session"


class BargeInOff(Conflict):
    """409: the turn was started without SYNC_TTS_BARGE_IN."""

    default_code = "barge_in_off"
