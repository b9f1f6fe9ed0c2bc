"""The development profile: flags that are on unless a person says otherwise, and never against what a person says."""

from collections.abc import Mapping

from dialog_flags.flags import Flag, dependents_of

OFF = ("false", "0", "no", "off", "f", "n")
"""What a setting takes for off, in any case of letters."""


def is_off(value: str) -> bool:
    """Whether a person turned it off; empty is not said."""
    return value.strip().lower() in OFF


def apply_profile(
    profile: Mapping[str, str], said: Mapping[str, str]
) -> tuple[dict[str, str], list[str]]:
    """The profile beside what a person said, and a sentence for each flag of it that is off because of that."""
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
            notes.append(f"{flag} is off, and so is what needs it: {', '.join(turned)}.")
    return fits, notes
