"""From a reply to speakable fragments: fragmenter, language and script runs."""
