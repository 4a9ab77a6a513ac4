"""Build the documentation as a site with search: ``python -m tools.site [-o FOLDER] [--pages-only]``.

The pages are the Markdown files of the repository, which stay readable where they are. This tool copies them to one folder,
completes those of reference (`tools/reference.py`), changes the links between them, and writes the navigation from the
lists of ``docs/README.md``, whose words name the pages. Zensical (``pip install ".[docs]"``) makes HTML of them. Links to
other files of the repository get a copy of the file. Exits with 1 if a link leads nowhere.
"""

from __future__ import annotations

import argparse
import html
import json
import os
import posixpath
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

from tools.reference import complete, lowered

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
HOME = "index.md"
PLACES = {
    "README.md": "repository.md",
    "docs/index.md": HOME,
    "docs/README.md": "all-pages.md",
    "docs/decisions/README.md": "decisions.md",  # an index.md would become the heading of its section
    "specs/README.md": "specs.md",
    "specs/data/README.md": "specs-data.md",
    "benchmarks/README.md": "benchmarks.md",
    "benchmarks/quality/README.md": "answers.md",
    "kernels/README.md": "kernels.md",
    "examples/README.md": "examples.md",
    "examples/drawing-pad/README.md": "examples-drawing-pad.md",
    "examples/own-signs/README.md": "examples-own-signs.md",
    "examples/review-box/README.md": "examples-review-box.md",
    "examples/node-service/README.md": "examples-node-service.md",
    "examples/batch-job/README.md": "examples-batch-job.md",
    "examples/containers/README.md": "examples-containers.md",
    "examples/notebooks/README.md": "examples-notebooks.md",
    "examples/plugin/README.md": "examples-plugin.md",
    "examples/text-writer/README.md": "examples-text-writer.md",
    "examples/fine-tuning/README.md": "examples-fine-tuning.md",
    "SECURITY.md": "security.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "tools/guides.md": "guides.md",
}
"""The pages that are not below ``docs`` or lie elsewhere on the site, and where it has them."""
PICTURES = {".svg", ".png", ".webp", ".jpg"}
_LINK = re.compile(r"(!?\[(?:[^\[\]]|\[[^\]]*\])*\])\(([^)\s]+)\)")
_PATH = re.compile(r"\[`?[\w./-]+\.md`?\]")
"""The words of a link that are the path of a page: right in a repository, not on a site."""
LAST = ("All pages", "How it works", "Decisions", "Contribute", "More")
"""The sections whose pages a search shows after all others."""
_REPORT = re.compile(r"<!-- report: (\S+) -->\n(!\[[^\n]*\))")
"""A picture of a spec's report; on the site it leads to the report."""
_FENCE = re.compile(r"^(`{3,}|~{3,}).*?^\1\s*$", re.M | re.S)


def pages() -> dict[str, str]:
    """Return the place of every page on the site, by its path in the repository."""
    found = dict(PLACES)
    for path in sorted(DOCS.rglob("*.md")):
        name = path.relative_to(ROOT).as_posix()
        if name not in found:
            own = path.relative_to(DOCS).as_posix()
            found[name] = re.sub(r"README\.md$", "index.md", own)
    return found


def staged(name: str, places: dict[str, str], text: str | None = None) -> tuple[str, dict[str, str]]:
    """Return the text of a page, by default its file's, for the site, and the places of the other files that it needs.

    Raises:
        ValueError: a link leads to nothing.
    """
    text = (ROOT / name).read_text(encoding="utf-8") if text is None else text
    words = words_of(places)
    needed: dict[str, str] = {}
    kept: list[str] = []

    def keep(match: re.Match[str]) -> str:
        kept.append(match[0])
        return f"\0{len(kept) - 1}\0"

    def link(match: re.Match[str]) -> str:
        target = new_target(match[2], name, places, needed)
        place = posixpath.normpath(posixpath.join(posixpath.dirname(places[name]), target.partition("#")[0]))
        shown = f"[{words[place]}]" if _PATH.fullmatch(match[1]) and place in words else match[1]
        return f"{shown}({target})"

    text = _LINK.sub(link, _FENCE.sub(keep, text))
    text = _REPORT.sub(lambda m: f"[{m[2]}](report-of-{Path(m[1]).stem}.html)", text)
    return re.sub("\0(\\d+)\0", lambda m: kept[int(m[1])], text), needed


def words_of(places: dict[str, str]) -> dict[str, str]:
    """Return a short title for every page, by its place: the words of its link in ``docs/README.md``, else its heading."""
    found = {place: title_of(name) for name, place in places.items()}
    for link in reversed(list(_LINK.finditer((DOCS / "README.md").read_text(encoding="utf-8")))):
        place, _, anchor = new_target(link[2], "docs/README.md", places, {}).partition("#")
        if place in found and not anchor:
            found[place] = link[1][1:-1]
    return found


def new_target(target: str, name: str, places: dict[str, str], needed: dict[str, str]) -> str:
    """Return a link of page ``name`` as it is on the site; a file that is no page is added to ``needed``."""
    path, hash_, anchor = target.partition("#")
    if "://" in target or target.startswith("mailto:") or not path:
        return target
    whole = posixpath.normpath(posixpath.join(posixpath.dirname(name), unquote(path)))
    place = places.get(whole) or places.get(posixpath.join(whole, "README.md"))
    if place is None:
        if not (ROOT / whole).exists():
            raise ValueError(f"{name}: the link to {target} leads nowhere")
        if (ROOT / whole).is_dir():  # a folder of the repository: nothing of the site shows it
            return posixpath.relpath("all-pages.md", posixpath.dirname(places[name]) or ".")
        place = needed.setdefault(whole, f"files/{whole}")
    return posixpath.relpath(place, posixpath.dirname(places[name]) or ".") + hash_ + anchor


def navigation(places: dict[str, str]) -> list[object]:
    """Return the navigation: the sections of ``docs/README.md`` with the pages that they link to, by the words of the links.

    Pages that are not there follow at the end, by their headings, with a section for each folder.
    """
    text = (DOCS / "README.md").read_text(encoding="utf-8")
    titles = words_of(places)
    listed: set[str] = {PLACES["docs/README.md"]}
    entries: list[object] = []
    for section in re.split(r"^## ", text, flags=re.M)[1:]:
        heading, _, body = section.partition("\n")
        found: list[object] = []
        for link in _LINK.finditer(body):
            place = new_target(link[2], "docs/README.md", places, {}).partition("#")[0]
            if place in titles and place not in listed:
                listed.add(place)
                found.append({titles[place][:1].upper() + titles[place][1:]: place})
        entries.append({heading.strip(): found})
    for folder in sorted({posixpath.dirname(p) for p in titles.keys() - listed}):
        rest = sorted(p for p in titles.keys() - listed if posixpath.dirname(p) == folder)
        entries.append({folder.replace("/", ": ").capitalize() or "More": [{titles[t]: t} for t in rest]})
    entries.append({title_of("docs/README.md"): PLACES["docs/README.md"]})
    return entries


def title_of(name: str) -> str:
    """Return the heading of a page, without Markdown."""
    found = re.search(r"^# (.*)$", (ROOT / name).read_text(encoding="utf-8"), re.M)
    return re.sub(r"[`*]", "", found[1]).strip() if found else Path(name).stem


def stage(folder: Path) -> None:
    """Write everything that Zensical needs into a folder: the pages, their pictures, and the configuration."""
    places, needed = pages(), dict[str, str]()
    completed = {f"docs/{name}": text for name, text in complete(lowered()).items()}
    for name, place in places.items():
        text, files = staged(name, places, completed.get(name))
        needed |= files
        write(folder / "pages" / place, text)
    for path in DOCS.rglob("*"):
        if path.suffix in PICTURES:
            needed.setdefault(path.relative_to(ROOT).as_posix(), path.relative_to(DOCS).as_posix())
    for name, place in needed.items():
        target = folder / "pages" / place
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, target)
    for name in ("site.css", "site.js"):
        shutil.copyfile(DOCS / name, folder / "pages" / name)
    config = (DOCS / "zensical.toml").read_text(encoding="utf-8")
    write(folder / "zensical.toml", config.replace("[project]\n", f"[project]\nnav = {toml(navigation(places))}\n", 1))


def toml(value: object) -> str:
    """Return nested lists, and mappings of one string or list, as TOML."""
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(k, ensure_ascii=False)} = {toml(v)}" for k, v in value.items()) + " }"
    return json.dumps(value, ensure_ascii=False)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")


def write_reports(folder: Path) -> None:
    """Train the specs whose reports pages show, and write these beside the pages in a folder."""
    for name, place in pages().items():
        for spec, _ in _REPORT.findall((ROOT / name).read_text(encoding="utf-8")):
            report = (folder / place).parent / f"report-of-{Path(spec).stem}.html"
            with tempfile.TemporaryDirectory() as run:
                command = [sys.executable, "-m", "graphspec", "train", str(ROOT / spec), "--out", f"{run}/run"]
                environment = {**os.environ, "PYTHONPATH": str(ROOT)}
                subprocess.run(command, cwd=run, env=environment, capture_output=True, check=True)
                shutil.copyfile(Path(run) / "run" / "report.html", report)


def rank(site: Path) -> None:
    """Let the search of a site show tutorials and guides before reference, and all of these before decisions.

    It compares results by the field that has the words (title, path, text), by how near they are, and then by their order.
    So titles and paths of the last sections count as text: an invisible sign in each word hides them from the search.
    """
    index = json.loads((site / "search.json").read_text(encoding="utf-8"))
    sections = [next(iter(entry)) for entry in navigation(pages()) if isinstance(entry, dict)]
    index["items"].sort(key=lambda item: sections.index(item["path"][0]))
    for item in index["items"]:
        if item["path"][0] in LAST:
            item["text"] += f"<p>{html.escape(', '.join([item['title'], *item['path']]))}</p>"
            item["title"], item["path"] = hidden(item["title"]), [hidden(part) for part in item["path"]]
    write(site / "search.json", json.dumps(index, ensure_ascii=False, separators=(",", ":")))


def hidden(title: str) -> str:
    """Return a title in which a search finds no word: a word joiner stands behind the first letter of each."""
    return re.sub(r"\b(\w)(?=\w)", "\\1\u2060", title)


class _Links(HTMLParser):
    """Collects the links and the anchors of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for key, value in attrs:
            if value and key == "id":
                self.anchors.add(value)
            elif value and ((key == "href" and tag in ("a", "link")) or (key == "src" and tag in ("img", "script"))):
                self.links.append(value)


def broken(site: Path) -> Iterator[str]:
    """Yield the links of a site that lead nowhere, and those that load something from elsewhere."""
    found: dict[Path, _Links] = {}
    for page in sorted(site.rglob("*.html")):
        found[page] = _Links()
        found[page].feed(page.read_text(encoding="utf-8"))
    for page, links in found.items():
        if page.name == "404.html":
            continue
        for link in dict.fromkeys(links.links):
            path, _, anchor = html.unescape(link).partition("#")
            if re.match(r"[a-z]+:", link):
                continue
            target = page if not path else (page.parent / unquote(path.partition("?")[0])).resolve()
            target = target / "index.html" if target.is_dir() else target
            if not target.is_file():
                yield f"{page.relative_to(site).as_posix()}: {link}"
            elif anchor and target in found and unquote(anchor) not in found[target].anchors:
                yield f"{page.relative_to(site).as_posix()}: {link} (no such heading)"


def build(output: Path) -> list[str]:
    """Build the site in a folder, and return the links that lead nowhere.

    Raises:
        RuntimeError: Zensical failed.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        stage(folder)
        done = subprocess.run(
            [sys.executable, "-m", "zensical", "build", "--clean"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"zensical failed:\n{done.stdout}{done.stderr}")
        write_reports(folder / "site")
        rank(folder / "site")
        problems = list(broken((folder / "site").resolve()))
        if output.exists():
            shutil.rmtree(output)
        shutil.copytree(folder / "site", output)
    return problems


def main(arguments: Iterable[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "build" / "site", help="the folder of the site")
    parser.add_argument("--pages-only", action="store_true", help="write Zensical's input, without HTML")
    given = parser.parse_args(arguments if arguments is None else list(arguments))
    if given.pages_only:
        stage(given.output)
        print(given.output)
        return 0
    if given.output.exists() and any(given.output.iterdir()) and not (given.output / "search.json").exists():
        print(f"{given.output} is not a site: nothing is replaced", file=sys.stderr)
        return 2
    problems = build(given.output)
    for problem in problems:
        print(f"broken link: {problem}", file=sys.stderr)
    print(f"{given.output}: open {given.output / 'index.html'}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
