"""Assembles an upload of the legacy dialect from announced chunks. Pure.

The plain-text answers are part of the dialect.
"""

from dataclasses import dataclass, field
from typing import Final

from dialog_contracts import limits
from dialog_contracts.input_socket import UploadFrame
from dialog_contracts.legacy_chain import AudioKind

RECEIVED: Final = "File chunk received"
NO_METADATA: Final = "Error: No metadata received before binary data"
TEXT_BYTES: Final = limits.MAX_CONTENT_CHARS * 4
AUDIO_STARTS: Final[tuple[tuple[int, bytes, AudioKind], ...]] = (
    (0, b"\x1aE\xdf\xa3", "webm"),
    (0, b"OggS", "ogg"),
    (0, b"RIFF", "wav"),
    (0, b"ID3", "mp3"),
    (0, b"\xff\xfb", "mp3"),
    (0, b"\xff\xf3", "mp3"),
    (0, b"\xff\xf2", "mp3"),
    (4, b"ftyp", "m4a"),
)
"""First bytes of each kind of recording: position, bytes, kind. The declared type is not used."""


class UploadRefused(Exception):
    """The upload cannot become a turn; the message says why."""


@dataclass(frozen=True, slots=True)
class Recording:
    """A complete audio upload."""

    data: bytes
    kind: AudioKind


@dataclass(slots=True)
class UploadAssembler:
    """One upload. `announce` and `add` return the answer for the client, if there is one."""

    kind: str | None = None
    chunks: list[bytes] = field(default_factory=list)
    size: int = 0
    announced: bool = False
    """Whether the next binary frame belongs to this upload."""
    _refused: str | None = None

    def announce(self, frame: UploadFrame) -> str | None:
        """Take a `data_chunk` frame.

        The next binary frame is its chunk, unless its text is inline.
        """
        # An earlier announcement is void: a later binary frame must not fill a refused chunk.
        self.announced = False
        if frame.type not in ("text", "audio"):
            return f"Error: type {str(frame.type)[:40]!r} is not supported"
        if self.kind is not None and frame.type != self.kind:
            return f"Error: this upload is {self.kind}, not {frame.type}"
        if frame.chunk_id != len(self.chunks):
            return f"Chunk ID mismatch: expected {len(self.chunks)}, got {frame.chunk_id}"
        if len(self.chunks) >= limits.MAX_UPLOAD_FRAMES:
            return self.refuse(f"an upload has at most {limits.MAX_UPLOAD_FRAMES} chunks")
        self.kind = frame.type
        if frame.text is not None and frame.type == "text":
            return self._append(frame.text.encode())
        self.announced = True
        return None

    def add(self, data: bytes) -> str:
        """Take the chunk that was announced."""
        if not self.announced:
            return NO_METADATA
        self.announced = False
        return self._append(data)

    def finish(self) -> str | Recording:
        """Return the text or the recording. Raises UploadRefused."""
        if self._refused is not None:
            # An incomplete message must not be answered as if it were complete.
            raise UploadRefused(self._refused)
        if not self.size:
            raise UploadRefused("the upload is empty")
        data = b"".join(self.chunks)
        if self.kind == "audio":
            return Recording(data, _kind_of(data))
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise UploadRefused(f"the text is not valid UTF-8 at byte {error.start}") from error

    def _append(self, data: bytes) -> str:
        limit = TEXT_BYTES if self.kind == "text" else limits.MAX_UPLOAD_BYTES
        if self.size + len(data) > limit:
            what = "a text" if self.kind == "text" else "a recording"
            return self.refuse(f"{what} has at most {limit} bytes")
        self.size += len(data)
        self.chunks.append(data)
        return RECEIVED

    def refuse(self, why: str) -> str:
        """Refuse the whole upload and drop what was stored of it."""
        self._refused, self.announced = why, False
        self.chunks, self.size = [b""] * len(self.chunks), 0
        return f"Error: {why}"


def _kind_of(data: bytes) -> AudioKind:
    for at, start, kind in AUDIO_STARTS:
        if data[at : at + len(start)] == start:
            return kind
    raise UploadRefused("the recording is none of webm, ogg, wav, mp3, m4a")
