"""Language models behind one interface; import the module you need (`dialog_llm.fallback`), nothing heavy loads from here."""
