"""The TTS providers."""
