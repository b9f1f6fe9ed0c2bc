"""What a session needs of the player of legacy responses, and what that player may do in a session."""

from typing import Protocol

from dialog_contracts.ingest import End, SpeechChunk, Start, TextDelta
from output_handler.playback.turn import PlaybackTurn
from output_handler.viewers.group import ViewerGroup
from output_handler.viewers.viewer import Viewer


class LegacyPlayer(Protocol):
    """Plays responses of the legacy pipeline into one session."""

    def viewer_joined(self, viewer: Viewer) -> None:
        """A viewer came."""

    def voice_awaited(self) -> None:
        """The audio of the present turn comes as a file."""

    def close(self) -> None:
        """The session ends."""


class PlaybackTarget(Protocol):
    """A session as the player of legacy responses sees it."""

    @property
    def session_id(self) -> str:
        """Its id."""

    @property
    def turn(self) -> PlaybackTurn:
        """The present turn; number 0 before the first one."""

    @property
    def epoch(self) -> int:
        """The epoch of the present lease holder."""

    @property
    def viewer_group(self) -> ViewerGroup:
        """Its viewers."""

    @property
    def has_deferred_turns(self) -> bool:
        """Whether turns of an engine wait behind the present one."""

    def clock(self) -> float:
        """Now, in ms on this output-handler's clock."""

    def open_file(self, start: Start, text: TextDelta) -> PlaybackTurn:
        """Begin a turn whose audio is a file."""

    def take_file(self, duration_ms: int) -> None:
        """Play the file of the present turn; 0 ms if its audio is missing."""

    def play_chunk(self, frame: SpeechChunk, raw: str) -> None:
        """Play a chunk of the file."""

    def finish(self, frame: End) -> None:
        """All of the file was sent, or none of it will be."""

    def abandon(self) -> None:
        """Nothing more comes of the present turn."""


class NoLegacyPlayer:
    """For a session without the legacy pipeline."""

    def viewer_joined(self, viewer: Viewer) -> None:
        """Nothing waits."""

    def voice_awaited(self) -> None:
        """Never called: such a session awaits no files."""

    def close(self) -> None:
        """Nothing is open."""
