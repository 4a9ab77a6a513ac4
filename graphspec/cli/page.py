"""``graphspec page``: a page to try an exported network on, in any browser."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

from graphspec.base.errors import UsageError
from graphspec.cli.console import out_wrapped
from graphspec.cli.options import Allow, DataPlace, argument, option
from graphspec.cli.targets import is_onnx, is_run, is_spec, open_model, refuse_other, spec_for_run

_WANTED = "name a file that `graphspec export` has written, or a run directory"


def page(
    networks: Annotated[
        list[Path], argument("FILE|RUN", "Exported files, or runs, which are exported and proved first.")
    ],
    output: Annotated[
        Path | None,
        option("DIR", "The folder to write, by default page; of several networks each has a page.", "--output", "-o"),
    ] = None,
    engine: Annotated[
        Path | None,
        option("DIR", "npm's package onnxruntime-web, to put into the page, which then needs no network.", "--engine"),
    ] = None,
    data: DataPlace = None,
    allow: Allow = None,
) -> None:
    """Write a page to try a network on: a form, answers as one types, what changes them, and tables.

    It opens from a folder or from any web server, and what a visitor enters stays in the browser.
    """
    from graphspec.show.page.build import contents, page_of, write_page

    folder = output or Path("page")
    for network in networks:
        refuse_other(network, _WANTED)
        if is_spec(network):
            raise spec_for_run(network, "page")
        if not is_run(network) and not (is_onnx(network) and network.is_file()):
            raise UsageError(f"{network} does not exist; {_WANTED}")
    names = [network.stem if is_onnx(network) else network.resolve().name for network in networks]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UsageError(f"two of them are named '{twice}': pages have the names of their files and runs")
    places = [folder / ("index.html" if len(names) == 1 else f"{name}.html") for name in names]
    for network, place in zip(networks, places, strict=True):
        with tempfile.TemporaryDirectory(prefix="graphspec-") as temporary:
            file = network
            if not is_onnx(network):
                file = Path(temporary) / "model.onnx"
                open_model(network, "page", allow or (), data).export(file)
            html = page_of(file, engine)
        out_wrapped(f"page: {write_page(place, html)}")
    if len(names) > 1:
        out_wrapped(f"page: {write_page(folder / 'index.html', contents(names))}, with links to them")
