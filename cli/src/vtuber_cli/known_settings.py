"""Which settings there are, by service, and what a name that is none of them was probably meant to be."""

import difflib
import importlib
from collections.abc import Iterable, Mapping
from typing import Any, Final

RUN_SETTINGS: Final = ("PORT", "REDIS_URL", "LEGACY_ENABLED", "MICROPHONE_ENABLED", "VTUBER_URL")
"""What this command itself reads."""

SET_BY_RUN: Final = {
    "PORT": "`--port`, for the page",
    "HOST": "`--host`, for the page",
    "REDIS_URL": "the variable REDIS_URL, for all",
}
"""What a run tells each of its processes itself, and how a person says it."""

COMMON_MISTAKES: Final = {
    "OPENAI_API_BASE": "OPENAI_BASE_URL",
    "OPENAI_MODEL": "LLM_MODEL",
    "OPENAI_KEY": "OPENAI_API_KEY",
}
"""Names that other programs use for the same."""

_ALIKE: Final = 0.85
_SHORT: Final = 6


def of_service(module: str) -> set[str]:
    """The names of a service's settings, as in the environment. The service's code is asked, by its module's name."""
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
    """The setting that this name is close to, if it is none itself."""
    asked, names = name.upper(), set(known)
    if asked in names:
        return None
    if asked in COMMON_MISTAKES and COMMON_MISTAKES[asked] in names:
        return COMMON_MISTAKES[asked]
    if len(asked) < _SHORT:
        return None
    return next(iter(difflib.get_close_matches(asked, names, n=1, cutoff=_ALIKE)), None)


def warnings(environment: Iterable[str], known: set[str]) -> list[str]:
    """A sentence for each variable that is nearly a setting."""
    return [
        f"{name} is no setting: did you mean {close}?"
        for name in sorted(environment)
        if (close := closest_setting(name, known)) is not None
    ]
