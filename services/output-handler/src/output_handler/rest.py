"""What she does while no turn is on: nothing, or she listens to somebody who speaks."""

from collections.abc import Callable
from typing import Final

from dialog_contracts.viewer import Phase
from output_handler.idle_timer import IdleTimer

LISTENS_S: Final = 35.0
"""Longer than any utterance: whoever said nothing about its end is gone."""

WORDS_WITHIN_S: Final = 0.5
"""After the end of an utterance its turn begins, or none comes of it."""


class Rest:
    """`begin` is called when the turn has died away, and when its phase changes after that; `resting` tells whether no turn is on."""

    def __init__(self, begin: Callable[[], None], resting: Callable[[], bool]) -> None:
        self._begin, self._resting = begin, resting
        self._quiet = IdleTimer(begin)
        self._patience = IdleTimer(self._heard_no_more)
        self._speakers: set[str] = set()

    @property
    def phase(self) -> Phase:
        """Of a session in which no turn is on."""
        return Phase.LISTENING if self._speakers else Phase.IDLE

    def after(self, seconds: float) -> None:
        """The turn dies away in so long."""
        self._quiet.after(seconds)

    def cancel(self) -> None:
        """It goes on, or another one begins."""
        self._quiet.cancel()

    def spoken_to(self, microphone: str, *, speaking: bool) -> None:
        """Somebody speaks, or has finished; she listens until the last of several has."""
        before = self.phase
        if speaking:
            self._speakers.add(microphone)
            self._patience.after(LISTENS_S)
        else:
            self._speakers.discard(microphone)
        if self.phase is before:
            return
        if not speaking:
            self._patience.cancel()
        if self._resting():
            self._quiet.after(0 if speaking else WORDS_WITHIN_S)

    def close(self) -> None:
        """Nothing follows."""
        self._quiet.cancel()
        self._patience.cancel()

    def _heard_no_more(self) -> None:
        self._speakers.clear()
        if self._resting():
            self._begin()
