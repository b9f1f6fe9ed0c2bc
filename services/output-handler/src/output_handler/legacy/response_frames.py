"""One response in the legacy dialect.

A text and its audio file in slices, built once for all viewers.
"""

from dataclasses import dataclass
from typing import Self

from dialog_contracts import legacy_output


@dataclass(frozen=True, slots=True)
class LegacyResponseFrames:
    """The frames in order: the text, then the slices of the file, if there is one."""

    frames: tuple[str | bytes, ...]

    @classmethod
    def build(cls, session_id: str, text: str, file: bytes | None) -> Self:
        """Build the frames; `file` is a whole WAV file."""
        reply = legacy_output.LegacyReply(
            task_id=session_id, content=text, audio_present=file is not None
        )
        frames: list[str | bytes] = [reply.to_json()]
        if file is not None:
            size = legacy_output.SLICE_BYTES
            slices = [file[at : at + size] for at in range(0, len(file), size)]
            for number, piece in enumerate(slices):
                head = legacy_output.LegacyAudioChunk(
                    task_id=session_id, chunk_id=number, total_chunks=len(slices)
                )
                frames += (head.to_json(), piece)
            frames.append(legacy_output.LegacyAudioComplete(task_id=session_id).to_json())
        return cls(tuple(frames))
