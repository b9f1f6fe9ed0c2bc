"""Calls back into a turn by its parts, which keep it from nothing.

A turn and its parts would otherwise hold each other, and what is over would lie about until the collector stops everybody to find it.
"""

from collections.abc import Callable
from typing import ParamSpec
from weakref import WeakMethod

P = ParamSpec("P")


def weak_callback(method: Callable[P, None]) -> Callable[P, None]:
    """A call of this bound method, as long as anybody else holds its object; afterwards nothing happens."""
    known = WeakMethod(method)

    def call(*args: P.args, **kwargs: P.kwargs) -> None:
        alive = known()
        if alive is not None:
            alive(*args, **kwargs)

    return call
