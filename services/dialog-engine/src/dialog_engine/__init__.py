"""The dialog engine: answers the turns of sessions with text and speech.

A ChatRequest becomes a turn. The language model writes the reply, the voice speaks it, and SQLite
stores it. A session has at most one running turn.

`chat_service.py` accepts requests and `turn` runs one turn. `speech` and `tts_streamer.py` make and
pace its audio, and `output` sends it to the output-handlers. `sessions` keeps the state that
outlives a turn.
"""
