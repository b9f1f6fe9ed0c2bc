"""Frames of a turn for output-handlers, as JSON."""

import time
from base64 import b64encode

from dialog_contracts import redis_names
from dialog_contracts.ingest import End, SpeechChunk, Start, StopAck, TextDelta
from dialog_contracts.legacy_chain import ChainMeta, TtsRequest
from dialog_engine.speech.chunker import AudioChunk
from dialog_engine.turn.request import TurnRequest


def start(order: TurnRequest, traceparent: str | None, ear_ms: int | None) -> str:
    """START; `ear_ms` is the audio time that sounds now, once anything does."""
    return Start(
        session_id=order.session_id,
        turn=order.turn,
        epoch=order.epoch,
        traceparent=traceparent,
        flags=order.flags,
        user_text=order.user_text or None,
        ear_ms=ear_ms,
    ).to_json()


def caption(order: TurnRequest, content: str, text_start: int, eos: bool) -> str:
    """A piece of the reply; `text_start` is its place in characters."""
    return TextDelta(
        session_id=order.session_id,
        turn=order.turn,
        content=content,
        text_start=text_start,
        eos=eos,
    ).to_json()


def chunk(order: TurnRequest, made: AudioChunk) -> str:
    """Sound with its mouth shapes."""
    return SpeechChunk(
        session_id=order.session_id,
        turn=order.turn,
        seq=made.seq,
        pcm=b64encode(made.pcm).decode("ascii"),
        viseme=made.viseme,
        ts=time.time(),
        offset_ms=made.offset_ms,
        text_start=made.text_start,
        text_end=made.text_end,
    ).to_json()


def end(order: TurnRequest, audio_ms: int, *, voice_follows: bool = False) -> str:
    """END; with `voice_follows` the sound comes from the legacy chain as one file."""
    return End(
        session_id=order.session_id,
        turn=order.turn,
        audio_ms=audio_ms,
        voice_follows=True if voice_follows else None,
    ).to_json()


def stop_ack(order: TurnRequest, heard: str | None) -> str:
    """STOP_ACK with the words that were heard."""
    return StopAck(session_id=order.session_id, turn=order.turn, heard_text=heard).to_json()


def voice_request(order: TurnRequest, reply: str, traceparent: str | None) -> TtsRequest:
    """The whole reply, to be spoken into one file."""
    return TtsRequest(
        message_id=order.correlation_id,
        task_id=order.session_id,
        text=reply,
        response_channel=redis_names.task_response(order.session_id),
        user_text=order.user_text or None,
        meta=ChainMeta(
            from_channel="dialog_engine",
            lang=order.lang,
            session_id=order.session_id,
            turn=order.turn,
            request_id=order.request_id,
            flags=order.flags,
            traceparent=traceparent,
            received_at=time.time(),
        ),
    )
