"""What she does while no turn is on: nothing, or she listens to somebody who speaks."""

from collections.abc import Callable
from typing import Final

from dialog_contracts.viewer import Phase
from output_handler.playback.timer import ResettableTimer

SPEAKING_TIMEOUT_S: Final = 35.0
"""Longer than any utterance: whoever said nothing about its end is gone."""

TURN_START_WAIT_S: Final = 0.5
"""After the end of an utterance its turn begins, or none comes of it."""


class IdleController:
    """`begin` is called when the turn has died away, and when its phase changes after that; `resting` tells whether no turn is on."""

    def __init__(self, begin: Callable[[], None], no_turn: Callable[[], bool]) -> None:
        self._on_idle, self._no_turn = begin, no_turn
        self._idle_timer = ResettableTimer(begin)
        self._speaking_timer = ResettableTimer(self._speaking_timeout)
        self._speakers: set[str] = set()

    @property
    def phase(self) -> Phase:
        """Of a session in which no turn is on."""
        return Phase.LISTENING if self._speakers else Phase.IDLE

    def schedule(self, seconds: float) -> None:
        """The turn dies away in so long."""
        self._idle_timer.schedule(seconds)

    def cancel(self) -> None:
        """It goes on, or another one begins."""
        self._idle_timer.cancel()

    def user_speaking(self, microphone: str, *, speaking: bool) -> None:
        """Somebody speaks, or has finished; she listens until the last of several has."""
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
        """Nothing follows."""
        self._idle_timer.cancel()
        self._speaking_timer.cancel()

    def _speaking_timeout(self) -> None:
        self._speakers.clear()
        if self._no_turn():
            self._on_idle()
