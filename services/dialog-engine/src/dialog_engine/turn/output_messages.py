"""Messages of a turn to the output-handlers, as JSON."""

import time
from base64 import b64encode

from dialog_contracts import redis_names
from dialog_contracts.ingest import End, SpeechChunk, Start, StopAck, TextDelta
from dialog_contracts.legacy_chain import ChainMeta, TtsRequest
from dialog_engine.speech.chunker import AudioChunk
from dialog_engine.turn.request import TurnRequest


def start(request: TurnRequest, traceparent: str | None, position_ms: int | None) -> str:
    """START.

    `position_ms` is the playback position for a viewer that joins, None before the audio.
    """
    return Start(
        session_id=request.session_id,
        turn=request.turn,
        epoch=request.epoch,
        traceparent=traceparent,
        flags=request.flags,
        user_text=request.user_text or None,
        ear_ms=position_ms,
    ).to_json()


def caption(request: TurnRequest, content: str, text_start: int, eos: bool) -> str:
    """A piece of the reply; `text_start` is its position in characters."""
    return TextDelta(
        session_id=request.session_id,
        turn=request.turn,
        content=content,
        text_start=text_start,
        eos=eos,
    ).to_json()


def chunk(request: TurnRequest, made: AudioChunk) -> str:
    """Audio with its mouth shapes and text positions."""
    return SpeechChunk(
        session_id=request.session_id,
        turn=request.turn,
        seq=made.seq,
        pcm=b64encode(made.pcm).decode("ascii"),
        viseme=made.viseme,
        ts=time.time(),
        offset_ms=made.offset_ms,
        text_start=made.text_start,
        text_end=made.text_end,
    ).to_json()


def end(request: TurnRequest, audio_ms: int, *, voice_follows: bool = False) -> str:
    """END. With `voice_follows` the legacy pipeline sends the audio as one file."""
    return End(
        session_id=request.session_id,
        turn=request.turn,
        audio_ms=audio_ms,
        voice_follows=True if voice_follows else None,
    ).to_json()


def stop_ack(request: TurnRequest, played_text: str | None) -> str:
    """STOP_ACK with the played text."""
    return StopAck(
        session_id=request.session_id, turn=request.turn, heard_text=played_text
    ).to_json()


def voice_request(request: TurnRequest, reply: str, traceparent: str | None) -> TtsRequest:
    """Request to synthesize the whole reply as one file."""
    return TtsRequest(
        message_id=request.correlation_id,
        task_id=request.session_id,
        text=reply,
        response_channel=redis_names.task_response(request.session_id),
        user_text=request.user_text or None,
        meta=ChainMeta(
            from_channel="dialog_engine",
            lang=request.lang,
            session_id=request.session_id,
            turn=request.turn,
            request_id=request.request_id,
            flags=request.flags,
            traceparent=traceparent,
            received_at=time.time(),
        ),
    )
