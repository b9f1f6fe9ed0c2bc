"""Follows frames (RFC 6455 §5.2) in a stream of bytes without reading what is in them."""

from typing import Final

_CONTINUATION: Final = 0
_CLOSE: Final = 8
_CONTROL: Final = 8
"""Opcodes from here on are control frames."""

_FIN: Final = 0x80
_MASKED: Final = 0x80
_EXTENDED: Final = {126: 2, 127: 8}
"""Length field → bytes of the length that follows it."""


class FrameBoundaryTracker:
    """`closed`: a close frame has come. `largest`: the longest payload that was announced, in bytes. `frames`: how many have begun;
    `parts`: those of them that are no whole message; `fragments`: the most that one message came in so far.
    """

    def __init__(self) -> None:
        self.closed = False
        self.largest = self.frames = self.parts = self.fragments = 0
        self._head = b""
        self._left = self._of_message = 0

    @property
    def at_boundary(self) -> bool:
        """Whether the bytes so far end with a whole frame."""
        return not self._left and not self._head

    def feed(self, data: bytes) -> None:
        """The next bytes of the stream, cut anywhere."""
        at, end = 0, len(data)
        while at < end:
            if self._left:
                step = min(self._left, end - at)
                self._left -= step
                at += step
                continue
            piece = data[at : at + _head_bytes(self._head) - len(self._head)]
            self._head += piece
            at += len(piece)
            # The second byte may have told that the head is longer.
            if len(self._head) == _head_bytes(self._head):
                self._begin()

    def _begin(self) -> None:
        head, self._head = self._head, b""
        length = head[1] & ~_MASKED
        payload = (
            int.from_bytes(head[2 : 2 + _EXTENDED[length]], "big")
            if length in _EXTENDED
            else length
        )
        self._left = payload
        self.largest = max(self.largest, payload)
        self._count(head[0] & 0x0F, final=bool(head[0] & _FIN))

    def _count(self, opcode: int, *, final: bool) -> None:
        self.frames += 1
        if opcode >= _CONTROL:
            self.parts += 1
            self.closed = self.closed or opcode == _CLOSE
            return
        self._of_message = self._of_message + 1 if opcode == _CONTINUATION else 1
        self.fragments = max(self.fragments, self._of_message)
        if opcode == _CONTINUATION or not final:
            self.parts += 1


def _head_bytes(known: bytes) -> int:
    """Of a frame whose head begins so."""
    if len(known) < 2:
        return 2
    return 2 + _EXTENDED.get(known[1] & ~_MASKED, 0) + (4 if known[1] & _MASKED else 0)
