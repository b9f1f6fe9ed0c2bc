import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from dialog_contracts import ingest
from dialog_contracts.http import FlagSet
from dialog_contracts.ingest import (
    TO_ENGINE,
    TO_OUTPUT,
    End,
    SpeechChunk,
    Start,
    Stop,
    StopAck,
    Subscribe,
    oculus,
)
from dialog_contracts.visemes import VISEMES

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def chunk(**fields: object) -> dict[str, object]:
    return {
        "type": "SPEECH_CHUNK",
        "sessionId": "live-001",
        "turn": 42,
        "seq": 0,
        "pcm": base64.b64encode(bytes(960)).decode(),
        "ts": 1790006400.5,
        "offsetMs": 0,
        **fields,
    }


def test_start_is_as_the_design_says() -> None:
    made = Start(
        session_id="live-001",
        turn=42,
        epoch=3,
        traceparent=PARENT,
        flags=FlagSet(SYNC_TTS_STREAMING=True),
    )
    assert made.to_wire() == {
        "type": "CONTROL",
        "action": "START",
        "sessionId": "live-001",
        "turn": 42,
        "epoch": 3,
        "traceparent": PARENT,
        "flags": {
            "ENABLE_SYNC_CORE": True,
            "SYNC_TTS_STREAMING": True,
            "SYNC_TTS_BARGE_IN": False,
            "ENABLE_STREAMS_OUTBOX": False,
            "ENABLE_LTM": False,
            "generation": 0,
        },
        "format": {"encoding": "pcm_s16le", "sampleRate": 24000, "channels": 1, "chunkMs": 40},
    }


def test_end_and_stop_ack_are_as_the_design_says() -> None:
    assert (
        End(session_id="live-001", turn=42).to_json()
        == '{"type":"CONTROL","action":"END","sessionId":"live-001","turn":42}'
    )
    assert (
        StopAck(session_id="live-001", turn=42).to_json()
        == '{"type":"CONTROL","action":"STOP_ACK","sessionId":"live-001","turn":42}'
    )


def test_what_flows_back_is_as_the_design_says() -> None:
    assert (
        Stop(session_id="live-001", turn=42).to_json()
        == '{"type":"CONTROL","action":"STOP","sessionId":"live-001","turn":42}'
    )
    for action in ("SUBSCRIBE", "UNSUBSCRIBE"):
        wire = f'{{"type":"CONTROL","action":"{action}","sessionId":"live-001"}}'
        read = TO_ENGINE.validate_json(wire)
        assert isinstance(read, Subscribe)
        assert read.to_json() == wire


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("start", ingest.Start),
        ("speech-chunk", ingest.SpeechChunk),
        ("text-delta", ingest.TextDelta),
        ("end", ingest.End),
        ("stop-ack", ingest.StopAck),
        ("stop-result", ingest.StopResult),
        ("heartbeat", ingest.Heartbeat),
    ],
)
def test_frames_from_an_engine_are_told_apart(
    example: Callable[[str], Any], name: str, model: type
) -> None:
    wire = example(name)
    assert type(TO_OUTPUT.validate_json(json.dumps(wire))) is model
    assert type(TO_OUTPUT.validate_python(wire)) is model
    with pytest.raises(ValidationError):
        TO_ENGINE.validate_python(wire)


@pytest.mark.parametrize(
    ("name", "model"), [("stop", ingest.Stop), ("subscribe", Subscribe), ("played", ingest.Played)]
)
def test_frames_to_an_engine_are_told_apart(
    example: Callable[[str], Any], name: str, model: type
) -> None:
    assert type(TO_ENGINE.validate_json(json.dumps(example(name)))) is model
    with pytest.raises(ValidationError):
        TO_OUTPUT.validate_python(example(name))


@pytest.mark.parametrize(
    "junk",
    [
        "",
        "null",
        "[]",
        "7",
        '"START"',
        "{}",
        '{"type":"CONTROL"}',
        '{"type":"CONTROL","action":"DANCE"}',
        '{"type":["CONTROL"]}',
    ],
)
def test_junk_is_refused(junk: str) -> None:
    for adapter in (TO_OUTPUT, TO_ENGINE):
        with pytest.raises(ValidationError):
            adapter.validate_json(junk)


@given(
    st.dictionaries(
        st.sampled_from(["type", "action", "sessionId", "turn", "seq", "pcm"]),
        st.none() | st.integers() | st.text(),
    )
)
def test_half_right_frames_are_refused_and_nothing_else(value: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        TO_OUTPUT.validate_python({**value, "ts": "soon"})


@pytest.mark.parametrize(
    "fields",
    [
        {"pcm": "A"},
        {"pcm": "AAA"},
        {"pcm": "A===AAAA"},
        {"pcm": "AA-_"},
        {"pcm": "A" * 16388},
        {"seq": -1},
        {"seq": 2**31},
        {"offsetMs": 2**31},
        {"textEnd": 2**31},
        {"turn": 0},
        {"ts": None},
        {"viseme": {"aa": "wide"}},
    ],
)
def test_a_chunk_that_could_not_be_packed_is_refused_at_the_door(fields: dict[str, object]) -> None:
    assert isinstance(TO_OUTPUT.validate_python(chunk()), SpeechChunk)
    with pytest.raises(ValidationError):
        TO_OUTPUT.validate_python(chunk(**fields))


@given(st.integers(min_value=0, max_value=250))
def test_duration_is_that_of_the_samples(ms: int) -> None:
    read = SpeechChunk.model_validate(chunk(pcm=base64.b64encode(bytes(48 * ms)).decode()))
    assert read.duration_ms == ms


def test_the_seeds_names_of_mouth_shapes_are_mapped_and_unknown_ones_kept() -> None:
    assert oculus({"AA": 0.7, "M": 0.2, "nn": 0.1, "smile": 1.0}) == {
        "aa": 0.7,
        "PP": 0.2,
        "nn": 0.1,
        "smile": 1.0,
    }
    assert len(VISEMES) == 15
    assert oculus(dict.fromkeys(VISEMES, 0.5)) == dict.fromkeys(VISEMES, 0.5)


def test_a_malformed_traceparent_is_refused() -> None:
    for wrong in ("", PARENT.upper(), PARENT[:-1], PARENT + "-x"):
        with pytest.raises(ValidationError):
            Start(session_id="live-001", turn=42, epoch=0, traceparent=wrong, flags=FlagSet())


def test_pause_and_resume_go_both_ways(example: Callable[[str], Any]) -> None:
    for wire in (example("playback-control"), {**example("playback-control"), "action": "RESUME"}):
        assert isinstance(TO_OUTPUT.validate_python(wire), ingest.PlaybackControl)
        assert isinstance(TO_ENGINE.validate_python(wire), ingest.PlaybackControl)
