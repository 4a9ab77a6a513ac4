"""Pictures of reports, to look at: each light and dark, on a phone and on a wide screen.

``python -m tools.screenshots runs/* --to pictures`` writes ``pictures/<run>-<width>-<light|dark>.png`` for the report.html
of each run, and for each HTML file that is named. It needs Chromium.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from tools.browser import opened

WIDTHS = (320, 1920)
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def main(arguments: list[str] | None = None) -> int:
    """Write the pictures; the status is 1 without a browser or without a report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("pages", metavar="RUN|FILE", nargs="+", type=Path)
    parser.add_argument("--to", metavar="DIR", type=Path, default=Path("screenshots"))
    parser.add_argument("--width", metavar="N", type=int, nargs="+", default=list(WIDTHS))
    given = parser.parse_args(arguments)
    browser = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    pages = {p.name if p.is_dir() else p.stem: p / "report.html" if p.is_dir() else p for p in given.pages}
    missing = [str(path) for path in pages.values() if not path.is_file()]
    if browser is None or missing:
        print("there is no Chromium" if browser is None else f"missing: {', '.join(missing)}", file=sys.stderr)
        return 1
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


if __name__ == "__main__":
    sys.exit(main())
