"""The bench's table: figure, budget, floor of the same run, ratio."""

BUDGETS = {
    "engine_overhead_p95_ms": 6.0,
    "viewer_overhead_p95_ms": 15.0,
    "first_audio_n1_p95_ms": 230.0,
    "first_audio_n50_p95_ms": 260.0,
    "stop_n50_p99_ms": 20.0,
    "ear_silence_p99_ms": 150.0,
    "viewer_skew_binary_p99_ms": 40.0,
    "switch_p99_ms": 1.0,
    "cancel_espeak_p95_ms": 40.0,
    "cancel_edge_p95_ms": 40.0,
    "cancel_openai_voice_p95_ms": 40.0,
    "cancel_openai_model_p95_ms": 40.0,
    "flag_everywhere_p95_ms": 1000.0,
    "converged_200_s": 30.0,
    "make_up_s": 240.0,
    "commit_to_xadd_p95_ms": 50.0,
    "outbox_on_first_audio_ratio": 1.05,
    "kb_per_session": 1024.0,
    "kb_per_viewer": 100.0,
    "soak_underruns": 0.0,
}
"""From the design, for two cores: at most."""

AT_LEAST = {"viewers_per_core_binary": 500.0, "outbox_drain_events_per_s": 2_000.0}


def print_table(figures: dict[str, float]) -> None:
    """Every figure, budgets marked."""
    print(f"\n{'figure':<28}{'measured':>10}{'budget':>9}{'floor':>9}{'ratio':>8}")
    for name in sorted(name for name in figures if not name.startswith("floor_")):
        value, budget, floor = (
            figures[name],
            BUDGETS.get(name, AT_LEAST.get(name)),
            figures.get(f"floor_{name}"),
        )
        held = budget is None or (value >= budget if name in AT_LEAST else value <= budget)
        mark = (
            "" if budget is None else "  ok" if held else "  OVER" if name in BUDGETS else "  UNDER"
        )
        row = f"{name:<28}{value:>10.2f}{budget if budget is not None else '':>9}{floor if floor is not None else '':>9}"
        print(row + (f"{value / floor:>8.1f}" if floor else f"{'':>8}") + mark)
