"""All messages of the system.

Modules are named after the socket, endpoint or store that carries them.
"""
