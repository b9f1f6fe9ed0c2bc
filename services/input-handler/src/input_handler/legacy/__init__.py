"""Legacy: the fallback pipeline, uploads and recordings of older clients."""
