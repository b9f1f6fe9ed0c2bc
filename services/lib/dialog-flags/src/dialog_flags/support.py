"""Which values of the flags this version cannot serve yet. Said on `/readyz` and in the log of a start, never ignored silently.

Remove a line when the part it speaks of lands.
"""

from collections.abc import Iterable
from typing import Final

from dialog_contracts.http import FlagSet
from dialog_flags.flags import Flag

_NOT_BUILT: Final[tuple[tuple[Flag, bool, str], ...]] = (
    (Flag.ENABLE_SYNC_CORE, False, "the legacy chain is not part of this version: turns are answered with legacy_unavailable"),
    (Flag.SYNC_TTS_STREAMING, False, "whole-file voice belongs to the legacy chain: replies come as text only"),
    (Flag.ENABLE_STREAMS_OUTBOX, True, "the outbox is not part of this version: no events are written"),
    (Flag.ENABLE_LTM, True, "long-term memory is not part of this version: nothing is recalled"),
)


def unsupported(flags: Iterable[FlagSet]) -> dict[str, str]:
    """Flag → why a value that some session has now has no effect in this version."""
    sets = list(flags)
    return {flag.value: why for flag, value, why in _NOT_BUILT if any(getattr(one, flag) is value for one in sets)}
