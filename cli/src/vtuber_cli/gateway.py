"""The gateway as the commands see it: its sockets, and what to say when it does not answer."""

from websockets.asyncio.client import connect
from websockets.typing import Subprotocol


class CannotReach(Exception):
    """One sentence, with the way out."""


def socket(url: str, path: str, subprotocol: str) -> connect:
    """A socket of the gateway at `url` (http or https), to be entered."""
    address = f"ws{url.removeprefix('http')}{path}"
    return connect(
        address, subprotocols=[Subprotocol(subprotocol)], compression=None, proxy=None, open_timeout=5, close_timeout=1
    )


def no_answer(url: str, error: Exception) -> str:
    """Nobody is there, or nobody any more."""
    return f"no answer from {url} ({type(error).__name__}). Is it running? `make run`"
