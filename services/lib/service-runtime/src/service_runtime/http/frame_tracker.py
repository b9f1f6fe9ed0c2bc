"""Tracks WebSocket frames (RFC 6455 §5.2) in a byte stream without reading their payloads."""

from typing import Final

_CONTINUATION: Final = 0
_CLOSE: Final = 8
_CONTROL: Final = 8
"""Opcodes from here on are control frames."""

_FIN: Final = 0x80
_MASKED: Final = 0x80
_EXTENDED: Final = {126: 2, 127: 8}
"""Length field → number of bytes of the extended length that follows it."""


class FrameBoundaryTracker:
    """State of the frames in the bytes so far.

    `closed`: a close frame has begun. `largest`: the longest announced payload in bytes. `frames`:
    number of frames that have begun. `parts`: those of them that are not whole messages.
    `fragments`: the largest number of frames of one message so far.
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
        """Process the next bytes of the stream, which may be split anywhere."""
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
            # The second byte may have announced a longer head.
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
    """Return the length of the head of a frame that begins with `known`."""
    if len(known) < 2:
        return 2
    return 2 + _EXTENDED.get(known[1] & ~_MASKED, 0) + (4 if known[1] & _MASKED else 0)
