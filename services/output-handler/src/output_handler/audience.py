"""The viewers of one session, told together: newer dialects get events, the older one gets answers."""

from collections.abc import Callable, Iterator

from dialog_contracts.ingest import Hold, TextDelta
from dialog_contracts.viewer import Phase, State, ViewerError
from dialog_telemetry import metrics
from output_handler.collected import Collected
from output_handler.legacy_answer import LegacyAnswer
from output_handler.legacy_viewer import LegacyViewer
from output_handler.turn_view import Sound, TurnView
from output_handler.viewer import Viewer


class Audience:
    """`viewers` is the set itself: speech goes to each of them without a detour. Times are ms of the session's clock."""

    def __init__(self, session_id: str) -> None:
        self.viewers: set[Viewer] = set()
        self._session_id = session_id
        self._collected = Collected()
        self._older_count = 0

    def add(
        self, viewer: Viewer, view: TurnView | None, now: float, *, resting: Phase = Phase.IDLE
    ) -> None:
        """A viewer came; in the middle of a turn it starts at the live position. `resting`: what she does without one."""
        self.viewers.add(viewer)
        self._older_count += isinstance(viewer, LegacyViewer)
        metrics.VIEWERS.labels(dialect=viewer.dialect).inc()
        if view is None or view.phase is Phase.IDLE:
            viewer.offer(self._state(resting, view.turn if view else 0, now))
            return
        if isinstance(viewer, LegacyViewer):
            self._tell_older(viewer, view, now)
            return
        viewer.offer(view.start_json)
        viewer.offer(
            self._state(
                view.phase, view.turn, view.started_at if view.zero_ms is None else view.zero_ms
            )
        )
        if view.text or view.text_ended:
            text = TextDelta(
                session_id=self._session_id, turn=view.turn, content=view.text, eos=view.text_ended
            )
            viewer.offer(text.to_json())
        if not view.stopped:
            for sound in view.upcoming(now):
                viewer.offer_sound(sound)
        if view.paused_at is not None:
            viewer.offer(
                Hold(action="PAUSE", session_id=self._session_id, turn=view.turn).to_json()
            )

    def remove(self, viewer: Viewer) -> None:
        """A viewer left."""
        self.viewers.discard(viewer)
        self._older_count -= isinstance(viewer, LegacyViewer)
        if not self.has_older:
            # Nothing is collected from now on: whoever comes later starts from what is still there.
            self._collected.flush()
        metrics.VIEWERS.labels(dialect=viewer.dialect).dec()

    @property
    def only_older(self) -> bool:
        """There are viewers, and none of them plays as it comes."""
        return 0 < self._older_count == len(self.viewers)

    @property
    def has_older(self) -> bool:
        """Some of them take whole files."""
        return self._older_count > 0

    def sound(self, sound: Sound) -> None:
        """A chunk: sent to the newer dialects, kept for the older one."""
        for viewer in self.viewers:
            viewer.offer_sound(sound)
        if self.has_older:
            self._collected.add(sound)

    def broadcast(self, data: str) -> None:
        """An event, for the newer dialects."""
        for viewer in self.viewers:
            viewer.offer(data)

    def phase(self, phase: Phase, turn: int, at: float) -> None:
        """STATE."""
        self.broadcast(self._state(phase, turn, at))

    def flush(self, stop: str, turn: int, at: float) -> None:
        """Throw away sound that waits, and say so."""
        state = self._state(Phase.INTERRUPTED, turn, at)
        self._collected.flush()
        for viewer in self.viewers:
            viewer.flush()
            viewer.offer(stop)
            viewer.offer(state)

    def new_turn(self) -> None:
        """Whatever viewers hold back from the turn before is over."""
        self._collected.new_turn()
        for viewer in self.viewers:
            viewer.new_turn()

    def error(self, error: ViewerError) -> None:
        """In both dialects."""
        self.broadcast(error.to_json())
        for viewer in self._older():
            viewer.error(error.message)

    def reply(self, text: str) -> None:
        """The older dialect: the turn's text, and the sound that was collected."""
        self.answer(text, self._collected.file())

    def answer(self, text: str, file: bytes | None, *, of_turn: bool = False) -> None:
        """The older dialect: a text and its file. `of_turn`: chunks of the present turn are not for them."""
        if of_turn:
            self._collected.came_as_file()
        if self.has_older:
            answer = LegacyAnswer.of(self._session_id, text, file)
            for viewer in self._older():
                viewer.answer(answer)

    def mark(self, sent: Callable[[], None], *, older: bool | None = None) -> None:
        """`sent` is called for each viewer once it took all that was offered; `older` chooses a dialect."""
        for viewer in self.viewers:
            if older is None or isinstance(viewer, LegacyViewer) is older:
                viewer.offer_mark(sent)

    def _tell_older(self, viewer: LegacyViewer, view: TurnView, now: float) -> None:
        """It waits for a whole file: as long as no chunk was given up it is still to be had, also right after END."""
        if view.stopped or view.from_file:
            return
        if self._collected.empty:
            whole = view.whole()
            for sound in whole or view.upcoming(now):
                self._collected.add(sound)
        if view.ended and view.whole():
            viewer.answer(LegacyAnswer.of(self._session_id, view.text, self._collected.file()))

    def _older(self) -> Iterator[LegacyViewer]:
        return (viewer for viewer in self.viewers if isinstance(viewer, LegacyViewer))

    def _state(self, phase: Phase, turn: int, at: float) -> str:
        return State(
            session_id=self._session_id, turn=turn, phase=phase, started_at=round(at, 3)
        ).to_json()
