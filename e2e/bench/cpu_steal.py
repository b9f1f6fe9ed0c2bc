"""How much of the machine somebody else had meanwhile.

What a virtual machine's host calls steal.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psutil

QUIET_SHARE: Final = 0.1
"""Below this the machine counts as ours."""


@contextmanager
def stolen(figures: dict[str, float], name: str) -> Iterator[None]:
    """Adds `name_stolen_share`: of the time in which something here wanted a core, the part in which the host gave it to others.

    Tails grow with it, whoever wrote the program. 0 where the system does not tell.
    """
    before = psutil.cpu_times()
    yield
    after = psutil.cpu_times()
    steal = getattr(after, "steal", 0.0) - getattr(before, "steal", 0.0)
    wanted = steal + sum(
        getattr(after, kind) - getattr(before, kind) for kind in ("user", "system")
    )
    figures[f"{name}_stolen_share"] = round(steal / wanted, 3) if wanted > 0 else 0.0


def stolen_share(figures: dict[str, float], name: str) -> float:
    """What was found."""
    return figures[f"{name}_stolen_share"]
