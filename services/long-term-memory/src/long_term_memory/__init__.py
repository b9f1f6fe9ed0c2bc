"""The older face of long-term memory: `ltm_requests` in, `ltm_responses` out."""
