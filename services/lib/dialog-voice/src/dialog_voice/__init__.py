"""Voices behind one interface; import the module you need (`dialog_voice.fallback`), nothing heavy loads from here."""
