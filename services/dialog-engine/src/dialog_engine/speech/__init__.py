"""Audio of a turn: cutting it into chunks, pacing them, and knowing the playback position."""
