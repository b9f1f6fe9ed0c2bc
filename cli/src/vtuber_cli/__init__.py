"""The `vtuber` command: runs the whole system on one machine, and talks to it."""
