"""Frames of `/ws/output/{id}` without a subprotocol: text, then one audio file in slices, as older clients read them."""

from typing import Final, Literal

from dialog_contracts.model import WireModel

SNAKE = {**WireModel.model_config, "alias_generator": None}
SLICE_BYTES: Final = 65_536


class LegacyReply(WireModel):
    """The text of a reply; `audio_present` says whether slices follow."""

    model_config = SNAKE

    status: Literal["success"] = "success"
    task_id: str
    content: str
    audio_present: bool


class LegacyAudioChunk(WireModel):
    """Announces one binary frame of the audio file, at most 65 536 bytes."""

    model_config = SNAKE

    type: Literal["audio_chunk"] = "audio_chunk"
    task_id: str
    chunk_id: int
    total_chunks: int


class LegacyAudioComplete(WireModel):
    """All slices were sent."""

    model_config = SNAKE

    type: Literal["audio_complete"] = "audio_complete"
    task_id: str


class LegacyError(WireModel):
    """An error as older clients expect it."""

    model_config = SNAKE

    status: Literal["error"] = "error"
    error: str
