"""For tests of asr: senses that follow a script; never imported by a service."""
