"""Every message of the system, once. Modules are named by the socket, endpoint or store that carries them."""
