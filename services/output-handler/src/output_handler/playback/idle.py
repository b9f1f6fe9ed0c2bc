"""The phase of a session without a turn: IDLE, or LISTENING while a user speaks."""

from collections.abc import Callable
from typing import Final

from dialog_contracts.viewer import Phase
from output_handler.playback.timer import ResettableTimer

SPEAKING_TIMEOUT_S: Final = 35.0
"""Longer than any utterance: a microphone that never reported its end is gone."""

TURN_START_WAIT_S: Final = 0.5
"""Time after an utterance within which its turn begins, if there is one."""


class IdleController:
    """`begin` is called when a turn becomes idle, and when the idle phase changes.

    `no_turn` returns whether no turn plays.
    """

    def __init__(self, begin: Callable[[], None], no_turn: Callable[[], bool]) -> None:
        self._on_idle, self._no_turn = begin, no_turn
        self._idle_timer = ResettableTimer(begin)
        self._speaking_timer = ResettableTimer(self._speaking_timeout)
        self._speakers: set[str] = set()

    @property
    def phase(self) -> Phase:
        """The phase while no turn plays."""
        return Phase.LISTENING if self._speakers else Phase.IDLE

    def schedule(self, seconds: float) -> None:
        """Become idle after so many seconds."""
        self._idle_timer.schedule(seconds)

    def cancel(self) -> None:
        """Do not become idle: the turn goes on, or another one begins."""
        self._idle_timer.cancel()

    def user_speaking(self, microphone: str, *, speaking: bool) -> None:
        """Note a user who starts or stops speaking; LISTENING lasts until the last one stops."""
        before = self.phase
        if speaking:
            self._speakers.add(microphone)
            self._speaking_timer.schedule(SPEAKING_TIMEOUT_S)
        else:
            self._speakers.discard(microphone)
        if self.phase is before:
            return
        if not speaking:
            self._speaking_timer.cancel()
        if self._no_turn():
            self._idle_timer.schedule(0 if speaking else TURN_START_WAIT_S)

    def close(self) -> None:
        """Cancel the timers."""
        self._idle_timer.cancel()
        self._speaking_timer.cancel()

    def _speaking_timeout(self) -> None:
        self._speakers.clear()
        if self._no_turn():
            self._on_idle()
