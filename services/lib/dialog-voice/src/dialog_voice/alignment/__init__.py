"""Word and viseme times for voices that send audio alone, aligned with a reference synthesis."""
