"""The `vtuber` command."""
