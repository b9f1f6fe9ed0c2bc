"""Legacy: the request interface of long-term memory (`ltm_requests`, `ltm_responses`)."""
