"""Output of `vtuber run`: JSON log lines of services as readable, coloured lines."""

import json
import sys
from typing import Final, TextIO

COLOURS: Final = {
    "red": 31,
    "green": 32,
    "yellow": 33,
    "blue": 34,
    "magenta": 35,
    "cyan": 36,
    "grey": 90,
    "bold": 1,
}
HIDDEN: Final = {
    "timestamp",
    "level",
    "event",
    "service",
    "correlationId",
    "trace_id",
    "exception",
    "logger",
}


class Console:
    """Writes to `out`; by default with colours only if it is a terminal."""

    def __init__(self, out: TextIO = sys.stdout, *, colours: bool | None = None) -> None:
        self._out = out
        self._colours = out.isatty() if colours is None else colours

    def paint(self, text: str, colour: str) -> str:
        """Return the text in a colour."""
        return f"\x1b[{COLOURS[colour]}m{text}\x1b[0m" if self._colours else text

    def say(self, text: str = "") -> None:
        """Write a line."""
        self._out.write(text + "\n")
        self._out.flush()

    def write(self, text: str) -> None:
        """Write a piece of a line."""
        self._out.write(text)
        self._out.flush()

    def again(self, text: str, *, last: bool = False) -> None:
        """Write a line that the next one overwrites.

        Without colours only the `last` one is written.
        """
        if self._colours:
            self._out.write(f"\r\x1b[K{text}" + ("\n" if last else ""))
            self._out.flush()
        elif last:
            self.say(text)

    def service_line(self, name: str, colour: str, raw: str) -> None:
        """Write a log line of a service."""
        self.say(f"{self.paint(f'{name:<15}', colour)} {self.readable(raw)}")

    def readable(self, raw: str) -> str:
        """Return `event  live-001#3  key=value …` for a JSON line, and other lines unchanged."""
        try:
            line = json.loads(raw)
        except (ValueError, RecursionError):
            return raw
        if not isinstance(line, dict) or "event" not in line:
            return raw
        level = str(line.get("level", "info"))
        event = str(line["event"])
        if level in ("warning", "error", "critical"):
            event = self.paint(event, "yellow" if level == "warning" else "red")
        turn = self.paint(str(line["correlationId"]), "bold") if "correlationId" in line else None
        values = " ".join(
            f"{key}={value}"
            for key, value in line.items()
            if key not in HIDDEN and value is not None
        )
        parts = [
            part for part in (event, turn, self.paint(values, "grey") if values else None) if part
        ]
        error = f"\n{line['exception']}" if "exception" in line else ""
        return "  ".join(parts) + error
