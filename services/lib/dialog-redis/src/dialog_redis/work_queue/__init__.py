"""A reliable work queue over Redis lists: each message is in one list until it is completed."""
