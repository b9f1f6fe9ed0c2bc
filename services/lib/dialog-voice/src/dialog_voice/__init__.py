"""TTS voices behind one interface.

Import the module you need (`dialog_voice.fallback`); this package imports nothing heavy.
"""
