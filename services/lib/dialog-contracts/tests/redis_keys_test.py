"""The list of keys is complete and says what it must."""

import inspect

from dialog_contracts import redis_keys, redis_names


def test_every_name_in_redis_is_listed_once() -> None:
    functions = {
        name: str(function(*["{x}"] * len(inspect.signature(function).parameters)))
        for name, function in vars(redis_names).items()
        if inspect.isfunction(function) and not name.startswith("_")
    }
    constants = {
        name: value
        for name, value in vars(redis_names).items()
        if name.isupper() and not name.startswith("_") and isinstance(value, str)
    }
    listed = [key.name for key in redis_keys.KEYS]
    shapes = sorted(shape(name) for name in listed)
    assert shapes == sorted(shape(name) for name in {**functions, **constants}.values())
    assert len(set(shapes)) == len(shapes)


def shape(name: str) -> str:
    """The name without what stands in the place of ids."""
    parts = name.replace("}#{", "").split("{")
    return "{}".join(part.split("}")[-1] for part in parts)


def test_what_expires_says_when_and_what_announces_does_not() -> None:
    for key in redis_keys.KEYS:
        assert (key.ttl == "") is (key.type == "channel"), key
        assert key.owner
        assert key.meaning
