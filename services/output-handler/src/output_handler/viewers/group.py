"""The viewers of one session.

Those with a subprotocol get events, legacy viewers get whole responses.
"""

from collections.abc import Callable, Iterator

from dialog_contracts.viewer import Phase, ViewerError
from dialog_telemetry import metrics
from output_handler.legacy.audio_collector import AudioCollector
from output_handler.legacy.response_frames import LegacyResponseFrames
from output_handler.legacy.viewer import LegacyViewer
from output_handler.playback.turn import AudioFrame, AudioSource, PlaybackTurn
from output_handler.viewers.late_join import join_late, state_frame
from output_handler.viewers.viewer import Viewer


class ViewerGroup:
    """Times are ms of the session's clock."""

    def __init__(self, session_id: str) -> None:
        self.viewers: set[Viewer] = set()
        self._session_id = session_id
        self._collector = AudioCollector()
        self._legacy_count = 0

    def add(
        self,
        viewer: Viewer,
        turn: PlaybackTurn,
        now: float,
        *,
        idle_phase: Phase = Phase.IDLE,
    ) -> None:
        """Add a viewer; in the middle of a turn it starts at the live position.

        `idle_phase` is the phase it is told while no turn plays.
        """
        self.viewers.add(viewer)
        self._legacy_count += isinstance(viewer, LegacyViewer)
        metrics.VIEWERS.labels(dialect=viewer.dialect).inc()
        if turn.phase is Phase.IDLE:
            viewer.send(state_frame(self._session_id, idle_phase, turn.number, now))
            return
        if isinstance(viewer, LegacyViewer):
            self._send_legacy(viewer, turn, now)
            return
        join_late(viewer, turn, self._session_id, now)

    def remove(self, viewer: Viewer) -> None:
        """Remove a viewer."""
        self.viewers.discard(viewer)
        self._legacy_count -= isinstance(viewer, LegacyViewer)
        if not self.has_legacy:
            # Nothing is collected from now on; a later legacy viewer starts with the buffered
            # chunks.
            self._collector.discard()
        metrics.VIEWERS.labels(dialect=viewer.dialect).dec()

    @property
    def all_legacy(self) -> bool:
        """Whether there are viewers, and all of them are legacy viewers."""
        return 0 < self._legacy_count == len(self.viewers)

    @property
    def has_legacy(self) -> bool:
        """Whether there is a legacy viewer."""
        return self._legacy_count > 0

    def send_audio(self, sound: AudioFrame) -> None:
        """Send a chunk, and collect it for legacy viewers."""
        for viewer in self.viewers:
            viewer.send_audio(sound)
        if self.has_legacy:
            self._collector.add(sound)

    def broadcast(self, data: str) -> None:
        """Send an event to viewers with a subprotocol."""
        for viewer in self.viewers:
            viewer.send(data)

    def send_phase(self, phase: Phase, turn: int, at: float) -> None:
        """Send STATE."""
        self.broadcast(state_frame(self._session_id, phase, turn, at))

    def flush(self, stop: str, turn: int, at: float) -> None:
        """Drop queued audio, and send STOP and STATE INTERRUPTED."""
        state = state_frame(self._session_id, Phase.INTERRUPTED, turn, at)
        self._collector.discard()
        for viewer in self.viewers:
            viewer.flush()
            viewer.send(stop)
            viewer.send(state)

    def new_turn(self) -> None:
        """Forget what concerns the turn before."""
        self._collector.new_turn()
        for viewer in self.viewers:
            viewer.new_turn()

    def error(self, error: ViewerError) -> None:
        """Send an error in both dialects."""
        self.broadcast(error.to_json())
        for viewer in self._legacy_viewers():
            viewer.error(error.message)

    def reply(self, text: str) -> None:
        """Send the turn's text and its collected audio to legacy viewers."""
        self.send_response(text, self._collector.to_wav())

    def send_response(self, text: str, file: bytes | None, *, of_turn: bool = False) -> None:
        """Send a text and its file to legacy viewers.

        `of_turn`: it is the present turn's, whose chunks need not be collected.
        """
        if of_turn:
            self._collector.disable_for_turn()
        if self.has_legacy:
            answer = LegacyResponseFrames.build(self._session_id, text, file)
            for viewer in self._legacy_viewers():
                viewer.send_response(answer)

    def on_sent(self, sent: Callable[[], None], *, older: bool | None = None) -> None:
        """Call `sent` for each viewer once it has taken everything queued so far.

        `older` restricts it to legacy viewers (True) or to the others (False).
        """
        for viewer in self.viewers:
            if older is None or isinstance(viewer, LegacyViewer) is older:
                viewer.on_sent(sent)

    def _send_legacy(self, viewer: LegacyViewer, turn: PlaybackTurn, now: float) -> None:
        """Let a legacy viewer join a turn.

        It gets the whole file while all chunks are still buffered.
        """
        if turn.stopped or turn.source is not AudioSource.ENGINE:
            return
        if self._collector.empty:
            whole = turn.all_chunks()
            for sound in whole or turn.upcoming(now):
                self._collector.add(sound)
        if turn.ended and turn.all_chunks():
            viewer.send_response(
                LegacyResponseFrames.build(self._session_id, turn.text, self._collector.to_wav())
            )

    def _legacy_viewers(self) -> Iterator[LegacyViewer]:
        return (viewer for viewer in self.viewers if isinstance(viewer, LegacyViewer))
