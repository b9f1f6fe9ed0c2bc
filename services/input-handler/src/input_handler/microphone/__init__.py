"""Microphones.

Audio to asr, transcripts back, and the decision whether speech interrupts a reply.
"""
