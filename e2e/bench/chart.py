"""The picture of docs/performance.md.

How long a viewer waits for her voice on either path, drawn from the bench's figures.
"""

from pathlib import Path
from typing import Final

PICTURE: Final = Path(__file__).parents[2] / "docs" / "paths.svg"
ROWS: Final = (
    ("legacy", "chain of queues: whole reply, whole file", "#b8bcc8"),
    ("main", "main path: streamed", "#7c5cff"),
)
WIDTH: Final = 640
LEFT: Final = 16
TOP: Final = 46
ROW: Final = 58


def draw(figures: dict[str, float]) -> str:
    """An SVG with a bar for each path's median and a line to its 95th percentile.

    Needs `first_audio_<path>_path_p50_ms` and `_p95_ms`.
    """
    values = {
        path: (
            figures[f"first_audio_{path}_path_p50_ms"],
            figures[f"first_audio_{path}_path_p95_ms"],
        )
        for path, *_ in ROWS
    }
    scale = (WIDTH - 2 * LEFT - 120) / max(p95 for _, p95 in values.values())
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {TOP + ROW * len(ROWS)}" font-family="sans-serif">',
        '<rect width="100%" height="100%" rx="10" fill="#fbfaff"/>',
        f'<text x="{LEFT}" y="28" font-size="15" fill="#2a2540">Text in → first sound at a viewer (same model, same voice)</text>',
    ]
    for number, (path, label, colour) in enumerate(ROWS):
        p50, p95 = values[path]
        y = TOP + number * ROW
        end = LEFT + p50 * scale
        parts += [
            f'<text x="{LEFT}" y="{y + 12}" font-size="12" fill="#5c5776">{label}</text>',
            f'<rect x="{LEFT}" y="{y + 18}" width="{p50 * scale:.1f}" height="20" rx="4" fill="{colour}"/>',
            f'<line x1="{end:.1f}" y1="{y + 28}" x2="{LEFT + p95 * scale:.1f}" y2="{y + 28}" stroke="{colour}" stroke-width="3"/>',
            f'<text x="{LEFT + p95 * scale + 8:.1f}" y="{y + 33}" font-size="13" fill="#2a2540">{p50:.0f} ms (p95 {p95:.0f})</text>',
        ]
    return "\n".join([*parts, "</svg>", ""])
