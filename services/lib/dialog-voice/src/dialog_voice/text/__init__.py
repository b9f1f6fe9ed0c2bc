"""From a reply to speakable fragments: fragmenter, language, script runs."""
