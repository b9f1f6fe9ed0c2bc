"""Speech recognition for recordings and for microphones."""
