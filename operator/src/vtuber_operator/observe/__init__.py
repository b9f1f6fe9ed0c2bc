"""What the operator observes: watches, cache, resync and acknowledgements."""
