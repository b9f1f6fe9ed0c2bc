"""Voices behind one interface; import the module you need (`dialog_voice.chain`), nothing heavy loads from here."""
