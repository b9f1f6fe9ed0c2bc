from vtuber_cli import provider_summary


def test_a_turn_names_who_answered_and_who_should_have() -> None:
    assert (
        provider_summary.turn_summary({"llm": "rules", "voice": "espeak"})
        == "by model rules, voice espeak"
    )
    stats = {
        "llm": "rules",
        "voice": "espeak",
        "instead_of": {"openai": "quota", "edge": "connection"},
    }
    assert (
        provider_summary.turn_summary(stats)
        == "by model rules, voice espeak; instead of openai (quota), edge (connection)"
    )
    assert provider_summary.turn_summary({"ttft_ms": 5}) is None


def test_a_run_names_what_is_in_use() -> None:
    details = {
        "models": {
            "configured": ["openai"],
            "inUse": "openai",
            "about": {"openai": "gpt at host"},
            "whyNot": {},
        },
        "voices": {"configured": ["edge"], "whyNot": {"edge": "edge: connection"}},
    }
    assert provider_summary.engine_summary(details) == [
        "Model: openai (gpt at host)",
        "Voice: no provider answers yet; retrying (edge: connection)",
    ]
    assert provider_summary.engine_summary({}) == []
