"""Flag values that this version cannot serve yet.

They are reported on `/readyz` and in the log at startup and never ignored silently. Remove a line
when the part it names is implemented.
"""

from collections.abc import Iterable
from typing import Final

from dialog_contracts.http import FlagSet
from dialog_flags.flags import Flag

_NOT_BUILT: Final[tuple[tuple[Flag, bool, str], ...]] = (
    (Flag.ENABLE_LTM, True, "long-term memory is not part of this version: nothing is recalled"),
)
_NEED_LEGACY: Final[tuple[tuple[Flag, bool, str], ...]] = (
    (
        Flag.ENABLE_SYNC_CORE,
        False,
        "the legacy chain is switched off here: turns are answered with legacy_unavailable",
    ),
    (
        Flag.SYNC_TTS_STREAMING,
        False,
        "whole-file voice needs the legacy chain, which is switched off here: replies come as text only",
    ),
)


def unsupported(flags: Iterable[FlagSet], *, legacy: bool) -> dict[str, str]:
    """Return flag → reason for each value in `flags` that has no effect in this process.

    `legacy` says whether the legacy pipeline runs.
    """
    sets = list(flags)
    lacking = _NOT_BUILT if legacy else (*_NOT_BUILT, *_NEED_LEGACY)
    return {
        flag.value: why
        for flag, value, why in lacking
        if any(getattr(one, flag) is value for one in sets)
    }


def not_served() -> dict[str, str]:
    """Return the flags that no session can have on in this version: flag → reason."""
    return {flag.value: why for flag, value, why in _NOT_BUILT if value}
