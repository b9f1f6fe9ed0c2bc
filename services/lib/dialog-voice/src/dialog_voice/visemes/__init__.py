"""Mouth shapes: from phonemes, from words, and for avatars."""
