"""Names of all settings by service, and suggestions for names that are misspelled."""

import difflib
import importlib
from collections.abc import Iterable, Mapping
from typing import Any, Final

RUN_SETTINGS: Final = (
    "PORT",
    "REDIS_URL",
    "LEGACY_ENABLED",
    "MICROPHONE_ENABLED",
    "WORKERS_ENABLED",
    "VTUBER_URL",
    "ADMIN_TOKEN",
)
"""Settings of the `vtuber` command itself."""

SET_BY_RUN: Final = {
    "PORT": "`--port`, for the page",
    "HOST": "`--host`, for the page",
    "REDIS_URL": "the variable REDIS_URL, for all services",
}
"""Settings that a run sets for each process, and how the user sets them instead."""

COMMON_MISTAKES: Final = {
    "OPENAI_API_BASE": "OPENAI_BASE_URL",
    "OPENAI_MODEL": "LLM_MODEL",
    "OPENAI_KEY": "OPENAI_API_KEY",
}
"""Names that other programs use for a setting."""

_ALIKE: Final = 0.85
"""Similarity, 0 to 1, from which a name is taken for a misspelled setting."""
_SHORT: Final = 6
"""Shorter names are too similar to each other to be suggested."""


def of_service(module: str) -> set[str]:
    """Return the names of a service's settings as in the environment; imports its `settings.py`."""
    found = importlib.import_module(f"{module}.settings")
    names = set[str]()
    for each in vars(found).values():
        fields: Mapping[str, Any] = getattr(each, "model_fields", {})
        for name, field in fields.items():
            names |= {
                str(choice).upper()
                for choice in getattr(field.validation_alias, "choices", (name,))
            }
    return names


def closest_setting(name: str, known: Iterable[str]) -> str | None:
    """Return the setting that `name` probably means.

    None if it is a setting itself, or resembles none.
    """
    asked, names = name.upper(), set(known)
    if asked in names:
        return None
    if asked in COMMON_MISTAKES and COMMON_MISTAKES[asked] in names:
        return COMMON_MISTAKES[asked]
    if len(asked) < _SHORT:
        return None
    return next(iter(difflib.get_close_matches(asked, names, n=1, cutoff=_ALIKE)), None)


def warnings(environment: Iterable[str], known: set[str]) -> list[str]:
    """Return a sentence for each variable that is probably a misspelled setting."""
    return [
        f"{name} is not a setting: did you mean {close}?"
        for name in sorted(environment)
        if (close := closest_setting(name, known)) is not None
    ]
