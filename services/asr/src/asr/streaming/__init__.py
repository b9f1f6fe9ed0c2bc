"""Hears microphones: finds speech in a stream of frames, its words while it goes on, and its end."""
