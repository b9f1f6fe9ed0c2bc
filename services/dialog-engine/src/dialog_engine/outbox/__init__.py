"""The outbox: events of turns, stored with the turns and delivered by `ltm_outbox.py`."""
