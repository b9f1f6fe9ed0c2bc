"""What a viewer gets that joins in the middle of a turn, so that it plays at the live position."""

from dialog_contracts.ingest import PlaybackControl, TextDelta
from dialog_contracts.viewer import Phase, State
from output_handler.playback.turn import PlaybackTurn
from output_handler.viewers.viewer import Viewer


def join_late(viewer: Viewer, turn: PlaybackTurn, session_id: str, now_ms: float) -> None:
    """Send START, the phase, the text so far, and the chunks that are still to be played.

    A paused turn is announced as paused; a stopped one has no chunks.
    """
    viewer.send(turn.start_json)
    began_ms = turn.audio_started_at_ms
    at_ms = turn.opened_at_ms if began_ms is None else began_ms
    viewer.send(state_frame(session_id, turn.phase, turn.number, at_ms))
    if turn.text or turn.text_ended:
        text = TextDelta(
            session_id=session_id, turn=turn.number, content=turn.text, eos=turn.text_ended
        )
        viewer.send(text.to_json())
    if not turn.stopped:
        for sound in turn.upcoming(now_ms):
            viewer.send_audio(sound)
    if turn.paused:
        paused = PlaybackControl(action="PAUSE", session_id=session_id, turn=turn.number)
        viewer.send(paused.to_json())


def state_frame(session_id: str, phase: Phase, turn: int, at_ms: float) -> str:
    """Return STATE as JSON; `at_ms` is `startedAt` on this output-handler's clock."""
    state = State(session_id=session_id, turn=turn, phase=phase, started_at=round(at_ms, 3))
    return state.to_json()
