"""Audio formats: detection, decoding, resampling, loudness and silence."""
