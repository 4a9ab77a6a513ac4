"""graphspec alone: how time and memory grow."""

from __future__ import annotations

from argparse import ArgumentParser

from benchmarks.scaling import checking, export, layers, sizes, startup
from benchmarks.tables import add_page, publish, where

TABLES = {
    "checking": checking.text,
    "layers": layers.text,
    "batch": sizes.batch,
    "width": sizes.width,
    "startup": startup.text,
    "export": export.text,
}


def main() -> None:
    parser = ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("tables", nargs="*", metavar="TABLE", help=f"of {', '.join(TABLES)}; all by default")
    add_page(parser)
    options = parser.parse_args()
    if unknown := set(options.tables) - TABLES.keys():
        parser.error(f"no table {', '.join(sorted(unknown))}: there are {', '.join(TABLES)}")
    for name in options.tables or TABLES:
        publish(name, f"{where()}\n\n{TABLES[name]()}", options.markdown)


if __name__ == "__main__":
    main()
