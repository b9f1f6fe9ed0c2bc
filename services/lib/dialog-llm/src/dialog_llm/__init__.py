"""Language models behind one interface.

Import the module you need (`dialog_llm.fallback`); this package imports nothing heavy.
"""
