"""The development profile: flags that are on by default. Settings of the user take precedence."""

from collections.abc import Mapping

from dialog_flags.flags import Flag, dependents_of

OFF = ("false", "0", "no", "off", "f", "n")
"""Values that turn a setting off, in lower case."""


def is_off(value: str) -> bool:
    """Whether this value turns a setting off; an empty value does not."""
    return value.strip().lower() in OFF


def apply_profile(
    profile: Mapping[str, str], said: Mapping[str, str]
) -> tuple[dict[str, str], list[str]]:
    """Return the profile adapted to the settings of the user (`said`), and notes about it.

    A flag of the profile is turned off if it requires a flag that the user has turned off. Each
    note is a sentence.
    """
    fits, notes = dict(profile), list[str]()
    for flag in Flag:
        if not is_off(said.get(flag, "")):
            continue
        follow = [
            other
            for other in dependents_of(flag)
            if other in fits and not said.get(other, "").strip()
        ]
        turned = [str(other) for other in follow if not is_off(fits[other])]
        fits |= dict.fromkeys(follow, "false")
        if turned:
            notes.append(f"{flag} is off, and so are the flags that need it: {', '.join(turned)}.")
    return fits, notes
