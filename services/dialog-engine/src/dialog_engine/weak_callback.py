"""Weak callbacks from components to their turn.

Strong callbacks would form a reference cycle. Finished turns would then stay in memory until the
cyclic garbage collector runs, and its runs stop all turns for a moment.
"""

from collections.abc import Callable
from typing import ParamSpec
from weakref import WeakMethod

P = ParamSpec("P")


def weak_callback(method: Callable[P, None]) -> Callable[P, None]:
    """Return a function that calls `method` while its object exists, and does nothing later."""
    known = WeakMethod(method)

    def call(*args: P.args, **kwargs: P.kwargs) -> None:
        alive = known()
        if alive is not None:
            alive(*args, **kwargs)

    return call
