"""A microphone: what is heard in it, and whether that interrupts the character."""
