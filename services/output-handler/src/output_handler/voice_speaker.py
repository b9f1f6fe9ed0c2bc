"""Speaks a voice file into the present turn of a session, a little ahead of the ear."""

import asyncio
import time
from base64 import b64encode
from typing import Final

from dialog_contracts import limits
from dialog_contracts.ingest import SpeechChunk
from output_handler.session import Session
from output_handler.turn_view import TurnView
from output_handler.voice_file import VoiceFile
from service_runtime.sounding import Sounding

AHEAD_MS: Final = 600
"""More than a network's hiccup, less than a viewer's queue holds."""

LOOK_EVERY_S: Final = 0.1


async def speak(session: Session, view: TurnView, voice: VoiceFile) -> bool:
    """Returns when all was sent, or false when the turn was stopped or replaced. Viewers of the older dialect alone wait for no chunk."""
    view.whole_ms, length = voice.duration_ms, len(view.text)
    for seq in range(len(voice)):
        offset = seq * limits.CHUNK_MS
        ahead_ms = offset - view.ear_ms(session.clock())
        # Also without a pause, other sessions and the viewers' writers have their turn between two chunks.
        await asyncio.sleep(max(0.0, (ahead_ms - AHEAD_MS) / 1000))
        if session.view is not view or view.stopped:
            return False
        if session.audience.only_older:
            return True
        frame = SpeechChunk(
            session_id=session.session_id,
            turn=view.turn,
            seq=seq,
            pcm=b64encode(voice.chunk(seq)).decode("ascii"),
            viseme=voice.mouth(offset),
            ts=time.time(),
            offset_ms=offset,
            text_start=voice.place(offset, length),
            text_end=voice.place(offset + limits.CHUNK_MS, length),
        )
        session.speak(frame, frame.to_json())
    return True


async def sounds(session: Session, view: TurnView, sounding: Sounding) -> None:
    """The next turn may cut this one off: whoever begins that one learns that there are words to wait for. Until it was heard, or cut."""
    await sounding.begins(session.session_id, view.turn)
    while session.view is view and view.sounding(session.clock()):  # noqa: ASYNC110  # time passes; no event tells of it
        await asyncio.sleep(LOOK_EVERY_S)
    if not view.stopped:
        await sounding.over(session.session_id, view.turn)
