"""What the operator knows: watches, cache, resync, acknowledgements."""
