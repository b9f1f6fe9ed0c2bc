"""Streams an audio file into the present turn of a session, `LEAD_MS` ahead of playback."""

import asyncio
import time
from base64 import b64encode
from typing import Final

from dialog_contracts import limits
from dialog_contracts.ingest import SpeechChunk
from dialog_media.playback_clock import LEAD_MS
from dialog_redis.active_playback import ActivePlayback
from output_handler.legacy.wav_file import WavFile
from output_handler.playback.ports import PlaybackTarget
from output_handler.playback.turn import PlaybackTurn

POLL_INTERVAL_S: Final = 0.1


async def stream_wav(session: PlaybackTarget, turn: PlaybackTurn, voice: WavFile) -> bool:
    """Send all chunks; return False when the turn was stopped or replaced meanwhile.

    Legacy viewers get the file as a whole, so without other viewers no chunk is sent.
    """
    length = len(turn.text)
    for seq in range(len(voice)):
        offset = seq * limits.CHUNK_MS
        ahead_ms = offset - turn.position_ms(session.clock())
        # Also without a delay this lets other sessions and the viewers' writers run.
        await asyncio.sleep(max(0.0, (ahead_ms - LEAD_MS) / 1000))
        if session.turn is not turn or turn.stopped:
            return False
        if session.viewer_group.all_legacy:
            return True
        frame = SpeechChunk(
            session_id=session.session_id,
            turn=turn.number,
            seq=seq,
            pcm=b64encode(voice.chunk(seq)).decode("ascii"),
            viseme=voice.viseme_at(offset),
            ts=time.time(),
            offset_ms=offset,
            text_start=voice.text_position_at(offset, length),
            text_end=voice.text_position_at(offset + limits.CHUNK_MS, length),
        )
        session.play_chunk(frame, frame.to_json())
    return True


async def publish_playing(
    session: PlaybackTarget, turn: PlaybackTurn, active_playback: ActivePlayback
) -> None:
    """Record in Redis that the turn plays, until it was played.

    The next turn may stop it, and its engine must wait for the played text. A stopped turn is
    removed by `ReplyTruncation` instead, after the text is stored.
    """
    await active_playback.started(session.session_id, turn.number)
    while session.turn is turn and turn.playing(session.clock()):  # noqa: ASYNC110  # time passes; no event tells of it
        await asyncio.sleep(POLL_INTERVAL_S)
    if not turn.stopped:
        await active_playback.finished(session.session_id, turn.number)
