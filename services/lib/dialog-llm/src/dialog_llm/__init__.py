"""Language models behind one interface; import the module you need (`dialog_llm.chain`), nothing heavy loads from here."""
