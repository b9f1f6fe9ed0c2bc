"""The viewers of one session, told together: newer dialects get events, the older one gets answers."""

from collections.abc import Callable, Iterator

from dialog_contracts.ingest import PlaybackControl, TextDelta
from dialog_contracts.viewer import Phase, State, ViewerError
from dialog_telemetry import metrics
from output_handler.legacy.audio_collector import AudioCollector
from output_handler.legacy.response_frames import LegacyResponseFrames
from output_handler.legacy.viewer import LegacyViewer
from output_handler.playback.turn import AudioFrame, AudioSource, PlaybackTurn
from output_handler.viewers.viewer import Viewer


class ViewerGroup:
    """`viewers` is the set itself: speech goes to each of them without a detour. Times are ms of the session's clock."""

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
        """A viewer came; in the middle of a turn it starts at the live position. `resting`: what she does without one."""
        self.viewers.add(viewer)
        self._legacy_count += isinstance(viewer, LegacyViewer)
        metrics.VIEWERS.labels(dialect=viewer.dialect).inc()
        if turn.phase is Phase.IDLE:
            viewer.send(self._state(idle_phase, turn.number, now))
            return
        if isinstance(viewer, LegacyViewer):
            self._send_legacy(viewer, turn, now)
            return
        viewer.send(turn.start_json)
        viewer.send(
            self._state(
                turn.phase,
                turn.number,
                turn.opened_at_ms if turn.audio_started_at_ms is None else turn.audio_started_at_ms,
            )
        )
        if turn.text or turn.text_ended:
            text = TextDelta(
                session_id=self._session_id,
                turn=turn.number,
                content=turn.text,
                eos=turn.text_ended,
            )
            viewer.send(text.to_json())
        if not turn.stopped:
            for sound in turn.upcoming(now):
                viewer.send_audio(sound)
        if turn.paused:
            viewer.send(
                PlaybackControl(
                    action="PAUSE", session_id=self._session_id, turn=turn.number
                ).to_json()
            )

    def remove(self, viewer: Viewer) -> None:
        """A viewer left."""
        self.viewers.discard(viewer)
        self._legacy_count -= isinstance(viewer, LegacyViewer)
        if not self.has_legacy:
            # Nothing is collected from now on: whoever comes later starts from what is still there.
            self._collector.discard()
        metrics.VIEWERS.labels(dialect=viewer.dialect).dec()

    @property
    def all_legacy(self) -> bool:
        """There are viewers, and none of them plays as it comes."""
        return 0 < self._legacy_count == len(self.viewers)

    @property
    def has_legacy(self) -> bool:
        """Some of them take whole files."""
        return self._legacy_count > 0

    def send_audio(self, sound: AudioFrame) -> None:
        """A chunk: sent to the newer dialects, kept for the older one."""
        for viewer in self.viewers:
            viewer.send_audio(sound)
        if self.has_legacy:
            self._collector.add(sound)

    def broadcast(self, data: str) -> None:
        """An event, for the newer dialects."""
        for viewer in self.viewers:
            viewer.send(data)

    def send_phase(self, phase: Phase, turn: int, at: float) -> None:
        """STATE."""
        self.broadcast(self._state(phase, turn, at))

    def flush(self, stop: str, turn: int, at: float) -> None:
        """Throw away sound that waits, and say so."""
        state = self._state(Phase.INTERRUPTED, turn, at)
        self._collector.discard()
        for viewer in self.viewers:
            viewer.flush()
            viewer.send(stop)
            viewer.send(state)

    def new_turn(self) -> None:
        """Whatever viewers hold back from the turn before is over."""
        self._collector.new_turn()
        for viewer in self.viewers:
            viewer.new_turn()

    def error(self, error: ViewerError) -> None:
        """In both dialects."""
        self.broadcast(error.to_json())
        for viewer in self._legacy_viewers():
            viewer.error(error.message)

    def reply(self, text: str) -> None:
        """The older dialect: the turn's text, and the sound that was collected."""
        self.send_response(text, self._collector.to_wav())

    def send_response(self, text: str, file: bytes | None, *, of_turn: bool = False) -> None:
        """The older dialect: a text and its file. `of_turn`: chunks of the present turn are not for them."""
        if of_turn:
            self._collector.disable_for_turn()
        if self.has_legacy:
            answer = LegacyResponseFrames.build(self._session_id, text, file)
            for viewer in self._legacy_viewers():
                viewer.send_response(answer)

    def on_sent(self, sent: Callable[[], None], *, older: bool | None = None) -> None:
        """`sent` is called for each viewer once it took all that was offered; `older` chooses a dialect."""
        for viewer in self.viewers:
            if older is None or isinstance(viewer, LegacyViewer) is older:
                viewer.on_sent(sent)

    def _send_legacy(self, viewer: LegacyViewer, turn: PlaybackTurn, now: float) -> None:
        """It waits for a whole file: as long as no chunk was given up it is still to be had, also right after END."""
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

    def _state(self, phase: Phase, turn: int, at: float) -> str:
        return State(
            session_id=self._session_id, turn=turn, phase=phase, started_at=round(at, 3)
        ).to_json()
