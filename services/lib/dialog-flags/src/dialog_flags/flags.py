"""The five flags: what each needs, and what is wrong with a combination."""

from enum import StrEnum
from typing import Final, Protocol

from dialog_contracts.http import FlagSet


class Flag(StrEnum):
    """Names as in the environment, the VtuberSession and on the wire."""

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
    """All flags that have to be on for this one, the first of all first."""
    needed = REQUIRES.get(flag)
    return [] if needed is None else [*requirements_of(needed), needed]


def dependents_of(flag: Flag) -> list[Flag]:
    """All flags that cannot be on without this one."""
    return [other for other in Flag if flag in requirements_of(other)]


class IllegalFlags(ValueError):
    """A flag is on whose needed flag is off. The message names both."""


def validate(flags: FlagSet) -> list[str]:
    """One sentence for each flag that is on without the flag it needs."""
    return [
        f"{flag} is on but needs {needed}, which is off"
        for flag, needed in REQUIRES.items()
        if getattr(flags, flag) and not getattr(flags, needed)
    ]


def drop_invalid(flags: FlagSet) -> FlagSet:
    """The flags without those whose needed flag is off."""
    off: dict[str, bool] = {}
    for flag, needed in REQUIRES.items():
        if getattr(flags, flag) and not off.get(needed, getattr(flags, needed)):
            off[flag] = False
    return flags.model_copy(update=off) if off else flags


class FlagSource(Protocol):
    """Where a session's flags come from. Evaluation is local and never waits."""

    def resolve(self, session_id: str) -> FlagSet:
        """The flags of a session's next turn."""
        ...


class FixedFlags:
    """The same flags for every session: what the environment says, in `make run` and in tests."""

    def __init__(self, flags: FlagSet) -> None:
        found = validate(flags)
        if found:
            raise IllegalFlags("; ".join(found))
        self._flags = flags

    def resolve(self, session_id: str) -> FlagSet:
        """The fixed flags; the session does not matter."""
        return self._flags
