"""Mouth shapes: from phonemes, from words, and to avatars."""
