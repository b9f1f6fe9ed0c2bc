"""Golden traces: what each viewer and each engine was sent in a test, in short, without times.

A trace is recorded once, before a change that must not be seen from outside, and compared ever
after. Offers to viewers are recorded, not what their writers have sent: the order of offers is the
session's, the rest is the network's.
"""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from output_handler.legacy.response_frames import LegacyResponseFrames
from output_handler.legacy.viewer import LegacyViewer
from output_handler.playback.session import PlaybackSession
from output_handler.playback.turn import AudioFrame
from output_handler.testing.session_driver import transcript_of
from output_handler.viewers.viewer import Viewer

Trace = dict[str, list[str]]
CHUNKS: Final = re.compile(r"CHUNKS (\d+) to (\d+)")


def _short(data: str) -> str:
    """One frame in short: what it is, and of it what a viewer or an engine acts on."""
    frame = json.loads(data)
    [line] = transcript_of([data])
    for name in ("reason", "heardText", "voiceFollows", "path", "speaker", "viewers"):
        if frame.get(name) is not None:
            line += f" {name}={frame[name]}"
    return line


@contextmanager
def recorded() -> Iterator[Trace]:
    """Record everything that sessions offer to viewers and send to engines meanwhile."""
    trace: Trace = {}
    names: dict[int, str] = {}
    kept: list[object] = []

    def line(of: object, kind: str) -> list[str]:
        if id(of) not in names:
            kept.append(of)
            names[id(of)] = f"{kind} {sum(name.startswith(kind) for name in names.values()) + 1}"
            trace[names[id(of)]] = []
        return trace[names[id(of)]]

    replaced: list[tuple[type, str, Any]] = []

    def watch(of: type, name: str, note: Callable[..., None]) -> None:
        original = vars(of)[name]
        replaced.append((of, name, original))

        def call(self: Any, *arguments: Any, **named: Any) -> Any:
            note(self, *arguments, **named)
            return original(self, *arguments, **named)

        setattr(of, name, call)

    def joined(session: PlaybackSession, viewer: Viewer) -> None:
        kind = "legacy viewer" if isinstance(viewer, LegacyViewer) else "viewer"
        line(viewer, kind).append("JOIN")

    def sent(viewer: Viewer, data: str) -> None:
        if id(viewer) in names:
            line(viewer, "viewer").append(_short(data))

    def audio(viewer: Viewer, sound: AudioFrame) -> None:
        if id(viewer) in names:
            lines = line(viewer, "viewer")
            before = CHUNKS.fullmatch(lines[-1])
            if before is not None and int(before[2]) == sound.seq - 1:
                lines[-1] = f"CHUNKS {before[1]} to {sound.seq}"
            else:
                lines.append(f"CHUNKS {sound.seq} to {sound.seq}")

    def flushed(viewer: Viewer) -> None:
        if id(viewer) in names:
            line(viewer, "viewer").append("FLUSH")

    def answered(viewer: LegacyViewer, answer: LegacyResponseFrames) -> None:
        if id(viewer) in names:
            frames = transcript_of([raw for raw in answer.frames if isinstance(raw, str)])
            size = sum(len(raw) for raw in answer.frames if isinstance(raw, bytes))
            line(viewer, "viewer").append(f"{frames[0]} with {size} bytes")

    def refused(viewer: LegacyViewer, message: str) -> None:
        if id(viewer) in names:
            line(viewer, "viewer").append(f"error {message}")

    watch(PlaybackSession, "join", joined)
    watch(Viewer, "send", sent)
    watch(Viewer, "send_audio", audio)
    watch(Viewer, "flush", flushed)
    watch(LegacyViewer, "send_response", answered)
    watch(LegacyViewer, "error", refused)
    original = PlaybackSession.__init__
    replaced.append((PlaybackSession, "__init__", original))

    def init(
        self: Any, session_id: str, clock: Any, to_engine: Any, *more: Any, **named: Any
    ) -> None:
        out = line(self, "engine of session")

        def tee(data: str) -> None:
            if '"PLAYED"' not in data:
                out.append(_short(data))
            to_engine(data)

        original(self, session_id, clock, tee, *more, **named)

    PlaybackSession.__init__ = init  # type: ignore[method-assign]
    try:
        yield trace
    finally:
        for of, name, before in reversed(replaced):
            setattr(of, name, before)
