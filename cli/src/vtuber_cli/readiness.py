"""What a service says of itself on `/readyz`."""

import json
from contextlib import suppress
from urllib.error import URLError
from urllib.request import HTTPSHandler, ProxyHandler, build_opener

from vtuber_cli import addresses


def of(port: int, host: str = addresses.LOOPBACK, scheme: str = "http") -> tuple[bool, str]:
    """Whether it is ready, and if not why. `host` is an address of this machine: no proxy knows it, and its certificate is our own."""
    handlers = (ProxyHandler({}), HTTPSHandler(context=addresses.believed()))
    try:
        with build_opener(*handlers).open(f"{addresses.url(host, port, scheme)}/readyz", timeout=2) as answer:
            return answer.status == 200, ""
    except URLError as error:
        body = ""
        if hasattr(error, "read"):
            with suppress(ValueError, OSError):
                told = json.loads(error.read())
                body = "; ".join(told.get("reasons", [])) if isinstance(told, dict) else ""
        return False, body or str(error.reason)
    except OSError as error:
        return False, str(error)
