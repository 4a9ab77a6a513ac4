"""Record the README's session: run its commands, and write a picture that plays what they print, without scripts.

    python -m tools.recording

writes ``docs/screenshots/session.svg``. Its lines come as they came in the session, but a pause takes at most half a second.
Who asks their system for less motion sees the end at once.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "screenshots" / "session.svg"
SESSION = (
    "graphspec init penguins.yaml --from penguins.csv --target species",
    "graphspec train penguins.yaml --export penguins.onnx",
    """echo '{"bill_length_mm": null, "island": "Biscoe", "sex": "female"}' \\""",
    "  | graphspec predict penguins.onnx - --labels",
)
"""The commands; one that ends in a backslash goes on in the next line."""
WIDTH, HEIGHT = 80, 24  # columns and lines of the terminal
_LETTER, _LINE, _EDGE, _TOP = 8.43, 19, 14, 40  # pixels
_TYPING, _PAUSE, _BETWEEN, _LAST = 0.9, 0.5, 0.7, 4.0  # seconds
_SHORTEST = 0.08


class Shown(NamedTuple):
    """A line of the terminal."""

    at: float  # seconds from the start
    text: str
    typed: bool


def record(commands: Sequence[str], folder: Path) -> list[Shown]:
    """Run the commands in a folder, and return their lines with the times at which they come, shortened."""
    shown, now, typed = list[Shown](), 0.0, list[str]()
    environment = {**os.environ, "COLUMNS": str(WIDTH), "PYTHONUNBUFFERED": "1", "NO_COLOR": "1"}
    environment["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), environment["PATH"]))
    for command in commands:
        shown.append(Shown(now, ("  " if typed else "$ ") + command.removeprefix("  "), True))
        typed.append(command)
        now += _TYPING
        if command.endswith("\\"):
            continue
        last = time.monotonic()
        process = subprocess.Popen(
            "\n".join(typed), shell=True, cwd=folder, env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                took, last = time.monotonic() - last, time.monotonic()
                now += min(max(took, _SHORTEST), _PAUSE)
                shown.append(Shown(now, line.rstrip("\n"), False))
        if process.wait() != 0:
            raise SystemExit(f"`{command}` ends with status {process.returncode}")
        now, typed = now + _BETWEEN, []
    return shown


def drawn(lines: Sequence[Shown], title: str) -> str:
    """Return the picture: a line appears at its time, and those above move up where the terminal is full."""
    total = lines[-1].at + _LAST
    width, height = round(2 * _EDGE + WIDTH * _LETTER), _TOP + HEIGHT * _LINE + _EDGE
    moves = "".join(
        f"{100 * line.at / total:.2f}%{{transform:translateY({-_LINE * (row - HEIGHT + 1)}px)}}"
        for row, line in enumerate(lines)
        if row >= HEIGHT
    )
    end = -_LINE * max(len(lines) - HEIGHT, 0)
    texts = "\n".join(_text(row, line) for row, line in enumerate(lines))
    lights = "".join(f'<circle cx="{x}" cy="18" r="5" fill="#5b6270"/>' for x in (20, 38, 56))
    place = f'x="{_EDGE}" y="{_TOP - 12}" width="{width - 2 * _EDGE}" height="{HEIGHT * _LINE + 12}"'
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">
<title>{escape(title)}</title>
<style>
text {{ font: 14px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; fill: #d5d9e0; white-space: pre }}
.t {{ fill: #8ad1ff; font-weight: 600 }}
.l {{ opacity: 0; animation: come .05s forwards }}
.s {{ transform: translateY({end}px); animation: move {total:.2f}s step-end }}
@keyframes come {{ to {{ opacity: 1 }} }}
@keyframes move {{ 0% {{ transform: none }} {moves} }}
@media (prefers-reduced-motion: reduce) {{ .l {{ opacity: 1; animation: none }} .s {{ animation: none }} }}
</style>
<rect width="{width}" height="{height}" rx="8" fill="#15181e"/>
{lights}
<svg {place}><g class="s">
{texts}
</g></svg>
</svg>
"""


def _text(row: int, line: Shown) -> str:
    kind = "l t" if line.typed else "l"
    length = f' textLength="{len(line.text) * _LETTER:.1f}"' if line.text.strip() else ""
    place = f'y="{12 + row * _LINE}"{length} style="animation-delay:{line.at:.2f}s"'
    return f'<text class="{kind}" {place}>{escape(line.text)}</text>'


def main(commands: Iterable[str] = SESSION) -> None:
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(ROOT / "specs" / "data" / "penguins.csv", folder)
        lines = record(tuple(commands), Path(folder))
    said = "A terminal: a spec is written for a table, trained and exported, and the ONNX file answers a row with a gap"
    PICTURE.write_text(drawn(lines, said), encoding="utf-8")


if __name__ == "__main__":
    main()
