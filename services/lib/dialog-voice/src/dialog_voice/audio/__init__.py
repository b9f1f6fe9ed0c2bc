"""Audio formats: detection, decoding, resampling, loudness, silence."""
