"""Frames of `/ws/output/{id}` without a subprotocol, for legacy viewers.

A reply is its text, followed by one audio file in slices.
"""

from typing import Final, Literal

from dialog_contracts.model import SnakeModel

SLICE_BYTES: Final = 65_536


class LegacyReply(SnakeModel):
    """The text of a reply; `audio_present` says whether slices follow."""

    status: Literal["success"] = "success"
    task_id: str
    content: str
    audio_present: bool


class LegacyAudioChunk(SnakeModel):
    """Announces one binary frame of the audio file, of at most 65 536 bytes."""

    type: Literal["audio_chunk"] = "audio_chunk"
    task_id: str
    chunk_id: int
    total_chunks: int


class LegacyAudioComplete(SnakeModel):
    """All slices have been sent."""

    type: Literal["audio_complete"] = "audio_complete"
    task_id: str


class LegacyError(SnakeModel):
    """An error in the form that legacy viewers expect."""

    status: Literal["error"] = "error"
    error: str
