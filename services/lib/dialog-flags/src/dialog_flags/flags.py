"""The five flags: what each of them requires, and checks of combinations."""

from enum import StrEnum
from typing import Final, Protocol

from dialog_contracts.http import FlagSet


class Flag(StrEnum):
    """Names as in the environment, in the VtuberSession and on the wire."""

    ENABLE_SYNC_CORE = "ENABLE_SYNC_CORE"
    SYNC_TTS_STREAMING = "SYNC_TTS_STREAMING"
    SYNC_TTS_BARGE_IN = "SYNC_TTS_BARGE_IN"
    ENABLE_STREAMS_OUTBOX = "ENABLE_STREAMS_OUTBOX"
    ENABLE_LTM = "ENABLE_LTM"


REQUIRES: Final[dict[Flag, Flag]] = {
    Flag.SYNC_TTS_STREAMING: Flag.ENABLE_SYNC_CORE,
    Flag.SYNC_TTS_BARGE_IN: Flag.SYNC_TTS_STREAMING,
    Flag.ENABLE_STREAMS_OUTBOX: Flag.ENABLE_SYNC_CORE,
    Flag.ENABLE_LTM: Flag.ENABLE_STREAMS_OUTBOX,
}


def requirements_of(flag: Flag) -> list[Flag]:
    """Return all flags that this one requires, indirect requirements first."""
    needed = REQUIRES.get(flag)
    return [] if needed is None else [*requirements_of(needed), needed]


def dependents_of(flag: Flag) -> list[Flag]:
    """Return all flags that require this one, directly or indirectly."""
    return [other for other in Flag if flag in requirements_of(other)]


class IllegalFlags(ValueError):
    """A flag is on while a flag that it requires is off. The message names both."""


def validate(flags: FlagSet) -> list[str]:
    """Return one sentence for each flag that is on without the flag it requires."""
    return [
        f"{flag} is on but needs {needed}, which is off"
        for flag, needed in REQUIRES.items()
        if getattr(flags, flag) and not getattr(flags, needed)
    ]


def drop_invalid(flags: FlagSet) -> FlagSet:
    """Return the flags, with those turned off whose required flag is off."""
    off: dict[str, bool] = {}
    for flag, needed in REQUIRES.items():
        if getattr(flags, flag) and not off.get(needed, getattr(flags, needed)):
            off[flag] = False
    return flags.model_copy(update=off) if off else flags


class FlagSource(Protocol):
    """Source of a session's flags. Resolution is local and never waits."""

    def resolve(self, session_id: str) -> FlagSet:
        """Return the flags of the session's next turn."""
        ...


class FixedFlags:
    """The flags of the environment for every session: used by `make run` and in tests.

    The constructor raises IllegalFlags where a flag is on without the flag it requires.
    """

    def __init__(self, flags: FlagSet) -> None:
        found = validate(flags)
        if found:
            raise IllegalFlags("; ".join(found))
        self._flags = flags

    def resolve(self, session_id: str) -> FlagSet:
        """Return the fixed flags of all sessions."""
        return self._flags
