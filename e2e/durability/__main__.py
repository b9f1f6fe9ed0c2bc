"""`make e2e-durability [TURNS=5000 KILLS=100]`: the kill loop at full strength; keeps its report."""

import asyncio
import random
import sys
import tempfile
from pathlib import Path

from e2e.durability.kill_loop import KillLoop, as_json

RESULTS = Path(__file__).parent / "results" / "latest.json"


def main() -> None:
    turns, kills = (int(word) for word in (*sys.argv[1:3], "5000", "100")[:2])
    seed = random.randrange(10**6)
    print(f"{turns} turns, at least {kills} kills, seed {seed} …", flush=True)
    with tempfile.TemporaryDirectory(prefix="vtuber-durability-") as folder:
        report = asyncio.run(KillLoop(Path(folder), turns=turns, kills=kills, seed=seed).run())
    print(as_json(report))
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(as_json(report))
    if report.lost or report.doubled or report.unexpected:
        sys.exit(1)


if __name__ == "__main__":
    main()
