"""Parts that a user brings along, named `package.module:factory` in a setting."""

import importlib
from collections.abc import Callable
from typing import Any


def load(name: str, setting: str) -> Callable[[], Any]:
    """The factory of that name; raises ValueError, which names the setting, where there is none."""
    module, _, attribute = name.partition(":")
    if not module or not attribute:
        raise ValueError(f"{setting}: {name!r} is not known; write package.module:factory for one of your own")
    try:
        factory: Callable[[], Any] = getattr(importlib.import_module(module), attribute)
    # A relative name is a TypeError.
    except (ImportError, AttributeError, TypeError) as error:
        raise ValueError(f"{setting}: {name!r} cannot be loaded: {error}") from error
    if not callable(factory):
        raise ValueError(f"{setting}: {name!r} is no factory: it cannot be called")
    return factory
