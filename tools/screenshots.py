"""Pictures of reports, to look at: each light and dark, on a phone and on a wide screen.

``python -m tools.screenshots runs/* --to pictures`` writes ``pictures/<run>-<width>-<light|dark>.png`` for the report.html
of each run, and for each HTML file that is named. ``--docs`` trains the specs whose data are in this repository and writes
the pictures of ``docs/report.md`` and ``docs/index.md``. ``--gallery runs/*`` writes a picture of each run for
``docs/gallery.md``: its report on a wide screen and on a phone, light and dark; ``--gallery pages/page-*.html`` those of
pages to try a network on (``graphspec page``). All need Chromium.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from tools.browser import opened

WIDTHS = (320, 1920)
MAX_GALLERY = 2400  # pixels of the height of a picture of the gallery; phones show the beginning only
ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs" / "pictures" / "report"
TRAINED = {
    "penguins": ("penguins", []),
    "housing": ("housing", []),
    "housing_short": ("housing", ["training.epochs=30"]),
    "bikes": ("bikes", []),
}
"""Runs for the pictures: a shipped spec, and what is set."""
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


class Shot(NamedTuple):
    """A picture of the docs: a file, the page, the element that it shows, and how."""

    name: str
    page: str
    selector: str
    width: int = 1160
    dark: bool = False
    height: int = 100_000


SHOTS = (
    Shot("curves", "penguins", "#curves"),
    Shot("classes", "penguins", "#heads"),
    Shot("numbers", "housing", "#heads"),
    Shot("forecast-dark", "bikes", "#heads", dark=True, height=1050),
    Shot("worst", "housing", "#worst", height=560),
    Shot("data", "bikes", "#data"),
    Shot("importance", "bikes", "#importance"),
    Shot("network", "bikes", "#network"),
    Shot("phone", "penguins", "body", 360, height=1100),
    Shot("compared", "comparison", "main", height=1000),
    Shot("../../screenshots/report", "penguins", "body", height=900),
    Shot("../../screenshots/page", "page/index", "body", 900, height=640),
)
ENGINE = ROOT / "tests" / "consumers" / "node" / "node_modules" / "onnxruntime-web"
"""What the page to try a network asks: ``bash tests/consumers/install.sh`` installs it."""
ANSWERED = """new Promise((done) => {
  const look = () => /One moment/.test(document.body.innerText) ? setTimeout(look, 200) : done();
  look();
})"""


def main(arguments: list[str] | None = None) -> int:
    """Write the pictures; the status is 1 without a browser or without a report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("pages", metavar="RUN|FILE", nargs="*", type=Path)
    parser.add_argument("--docs", action="store_true", help="write the pictures of docs/report.md")
    parser.add_argument("--gallery", action="store_true", help="write the pictures of docs/gallery.md")
    parser.add_argument("--to", metavar="DIR", type=Path, default=Path("screenshots"))
    parser.add_argument("--width", metavar="N", type=int, nargs="+", default=list(WIDTHS))
    given = parser.parse_args(arguments)
    browser = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if given.docs and browser is not None:
        _docs(browser)
        return 0
    pages = {p.name if p.is_dir() else p.stem: p / "report.html" if p.is_dir() else p for p in given.pages}
    missing = [str(path) for path in pages.values() if not path.is_file()]
    if browser is None or missing or not pages:
        problem = "there is no Chromium" if browser is None else f"missing: {', '.join(missing) or 'a run'}"
        print(problem, file=sys.stderr)
        return 1
    if given.gallery:
        _gallery(browser, pages)
        return 0
    given.to.mkdir(parents=True, exist_ok=True)
    with opened(browser) as page:
        for name, path in pages.items():
            for width in given.width:
                for dark in (False, True):
                    page.open(path, width, dark=dark)
                    picture = given.to / f"{name}-{width}-{'dark' if dark else 'light'}.png"
                    page.screenshot(picture)
                    print(picture)
    return 0


def _gallery(browser: str, pages: dict[str, Path]) -> None:
    """Write one picture for each page: the wide screens beside each other, then the phones, all scaled down."""
    from PIL import Image

    with TemporaryDirectory() as folder, opened(browser) as page:
        for name, path in pages.items():
            shots = []
            for width, shown in ((1920, 560), (320, 150)):
                for dark in (False, True):
                    page.open(path, width, dark=dark)
                    page.run(ANSWERED)
                    picture = Path(folder) / "shot.png"
                    page.screenshot(picture)
                    with Image.open(picture) as whole:
                        size = (shown, round(whole.height * shown / width))
                        shots.append(whole.convert("RGB").resize(size, Image.Resampling.LANCZOS))
            gap = 12
            height = min(max(shot.height for shot in shots[:2]), MAX_GALLERY)
            sheet = Image.new("RGB", (sum(shot.width + gap for shot in shots) - gap, height), "#94a3b8")
            x = 0
            for shot in shots:
                sheet.paste(shot.crop((0, 0, shot.width, height)), (x, 0))
                x += shot.width + gap
            file = DOCS / f"gallery-{name}.webp"
            sheet.save(file, quality=45, method=6)
            print(f"{file.relative_to(ROOT)}: {file.stat().st_size:,} bytes")


def _docs(browser: str) -> None:
    """Train the runs of the pictures, and write these."""
    with TemporaryDirectory() as folder, opened(browser) as page:
        runs = Path(folder) / "runs"
        for run, (spec, settings) in TRAINED.items():
            sets = [argument for setting in settings for argument in ("--set", setting)]
            _graphspec(folder, "train", str(ROOT / "specs" / f"{spec}.yaml"), "--out", f"runs/{run}", *sets)
        _graphspec(folder, "report", "runs/housing", "runs/housing_short", "-o", "runs/comparison.html")
        _graphspec(folder, "page", "runs/penguins", "-o", "runs/page", "--engine", str(ENGINE))
        DOCS.mkdir(parents=True, exist_ok=True)
        for shot in SHOTS:
            file = runs / shot.page / "report.html"
            page.open(file if file.is_file() else runs / f"{shot.page}.html", shot.width, dark=shot.dark)
            page.run(ANSWERED)
            picture = (DOCS / f"{shot.name}.webp").resolve()
            page.screenshot(picture, shot.selector, shot.height)
            print(f"{picture.relative_to(ROOT)}: {picture.stat().st_size:,} bytes")


def _graphspec(folder: str, *arguments: str) -> None:
    allowed = ("--allow", str(ROOT / "specs"))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "graphspec", *arguments, *allowed]
    subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    sys.exit(main())
