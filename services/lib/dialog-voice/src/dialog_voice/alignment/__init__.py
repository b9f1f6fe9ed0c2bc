"""Word and viseme times for voices that send audio alone, by a reference synthesis."""
