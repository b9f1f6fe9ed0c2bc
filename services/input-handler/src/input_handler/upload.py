"""The legacy dialect's upload: announced chunks, put together. Pure; plain-text answers are the dialect's own words."""

from dataclasses import dataclass, field
from typing import Final

from dialog_contracts import limits
from dialog_contracts.input_socket import UploadFrame

RECEIVED: Final = "File chunk received"
NO_METADATA: Final = "Error: No metadata received before binary data"
TEXT_BYTES: Final = limits.CONTENT_CHARS * 4


class UploadRefused(Exception):
    """What the uploader sent cannot become a turn; the message says why."""


@dataclass(slots=True)
class Upload:
    """One upload. `announce` and `add` give the answer to send, if any; `finish` gives the text."""

    kind: str | None = None
    chunks: list[bytes] = field(default_factory=list)
    size: int = 0
    _announced: bool = False

    def announce(self, frame: UploadFrame) -> str | None:
        """A `data_chunk` frame: the next binary frame belongs to it, unless its text is inline."""
        # Whatever was announced before is void: a refused chunk must never be filled by a later binary frame.
        self._announced = False
        if frame.type not in ("text", "audio"):
            return f"Error: type {str(frame.type)[:40]!r} is not supported"
        if self.kind is not None and frame.type != self.kind:
            return f"Error: this upload is {self.kind}, not {frame.type}"
        if frame.chunk_id != len(self.chunks):
            return f"Chunk ID mismatch: expected {len(self.chunks)}, got {frame.chunk_id}"
        if len(self.chunks) >= limits.UPLOAD_FRAMES:
            return f"Error: an upload has at most {limits.UPLOAD_FRAMES} chunks"
        self.kind = frame.type
        if frame.text is not None and frame.type == "text":
            return self._store(frame.text.encode())
        self._announced = True
        return None

    def add(self, data: bytes) -> str:
        """A binary frame."""
        if not self._announced:
            return NO_METADATA
        self._announced = False
        return self._store(data)

    def finish(self) -> str:
        """The text; raises UploadRefused."""
        if self.kind == "audio":
            raise UploadRefused("audio cannot be transcribed yet: speech recognition is not part of this version")
        if not self.chunks:
            raise UploadRefused("the upload is empty")
        try:
            return b"".join(self.chunks).decode("utf-8")
        except UnicodeDecodeError as error:
            raise UploadRefused(f"the text is not valid UTF-8 at byte {error.start}") from error

    def _store(self, data: bytes) -> str:
        if self.kind == "text" and self.size + len(data) > TEXT_BYTES:
            return f"Error: a text has at most {TEXT_BYTES} bytes"
        self.size += len(data)
        # Sound has nobody to hear it yet; keeping its bytes would only fill memory.
        self.chunks.append(data if self.kind == "text" else b"")
        return RECEIVED
