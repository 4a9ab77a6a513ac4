"""``graphspec page`` and ``graphspec serve``: a page to try a network on, in any browser or from this computer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

from graphspec.base.errors import UsageError
from graphspec.cli.console import out_wrapped, write_json
from graphspec.cli.options import Allow, DataPlace, argument, flag, option
from graphspec.cli.targets import is_onnx, is_run, is_spec, open_model, refuse_other, spec_for_run

_WANTED = "name a file that `graphspec export` has written, or a run directory"


Engine = Annotated[
    Path | None,
    option("DIR", "npm's package onnxruntime-web, to put into the page, which then needs no network.", "--engine"),
]


def page(
    networks: Annotated[
        list[Path], argument("FILE|RUN", "Exported files, or runs, which are exported and proved first.")
    ],
    output: Annotated[
        Path | None,
        option("DIR", "The folder to write, by default page; of several networks each has a page.", "--output", "-o"),
    ] = None,
    engine: Engine = None,
    learn: Annotated[
        bool, flag("--learn", "Let visitors teach it names of their own, in the browser, by examples.")
    ] = False,
    data: DataPlace = None,
    allow: Allow = None,
) -> None:
    """Write a page to try a network on: a form, answers as one types, what changes them, and tables.

    It opens from a folder or from any web server, and what a visitor enters stays in the browser.
    """
    from graphspec.show.page.build import contents, form_of, page_of, write_page

    folder = output or Path("page")
    names = [network.stem if is_onnx(network) else network.resolve().name for network in networks]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UsageError(f"two of them are named '{twice}': pages have the names of their files and runs")
    for network in networks:
        refuse_no_network(network, "page")
    records, links = {}, {"All networks": "index.html"} if len(names) > 1 else {}
    for name, network in zip(names, networks, strict=True):
        with exported(network, "page", allow, data) as file:
            records[name] = form_of(file)
            html = page_of(file, engine, about=records[name], links=links, learns=learn)
        place = folder / (f"{name}.html" if links else "index.html")
        out_wrapped(f"page: {write_page(place, html)}")
    if links:
        out_wrapped(f"page: {write_page(folder / 'index.html', contents(records))}, with links to them")


def refuse_no_network(network: Path, command: str) -> None:
    """Raise UsageError for what is neither an ONNX file nor a run."""
    refuse_other(network, _WANTED)
    if is_spec(network):
        raise spec_for_run(network, command)
    if not is_run(network) and not (is_onnx(network) and network.is_file()):
        raise UsageError(f"{network} does not exist; {_WANTED}")


@contextmanager
def exported(network: Path, command: str, allow: list[Path] | None, data: Path | None = None) -> Iterator[Path]:
    """Yield the file of a network: of a run one that is exported and proved, and removed in the end."""
    refuse_no_network(network, command)
    if is_onnx(network):
        yield network
        return
    with TemporaryDirectory(prefix="graphspec-") as temporary:
        file = Path(temporary) / "model.onnx"
        open_model(network, command, allow or (), data).export(file)
        yield file


def serve(
    network: Annotated[Path, argument("FILE|RUN", "An exported file, or a run, which is exported and proved first.")],
    port: Annotated[
        int, option("N", "The port; 8000 by default, 0 is any free one.", "--port", min=0, max=65535)
    ] = 8000,
    threads: Annotated[int, option("N", "Predictions at the same time; 2 by default.", "--threads", min=1)] = 2,
    limit: Annotated[int, option("MB", "Megabytes that a request may have; 16 by default.", "--limit", min=1)] = 16,
    engine: Engine = None,
    described: Annotated[
        bool, flag("--openapi", "Print the description of the endpoint (OpenAPI 3.1), and do not serve.")
    ] = False,
    allow: Allow = None,
) -> None:
    """Serve the page of a network, and answers to rows of JSON, on this computer alone, to try it.

    For many users there are MLflow, Triton and the service of examples/node-service.
    """
    from graphspec.cli.predict import answers_in_lines
    from graphspec.show.page.build import form_of, page_of
    from graphspec.show.page.server import LOCAL, Server, openapi

    with exported(network, "serve", allow) as file:
        about = form_of(file)
        api = openapi(about)
        if described:
            return write_json(api)
        html, answer = page_of(file, engine, about=about), answers_in_lines(file)
        try:
            server = Server((LOCAL[0], port), html, api, answer, limit=limit << 20, threads=threads)
        except OSError as error:
            raise UsageError(f"port {port} cannot be used: {error.strerror}; choose another one with --port") from None
        with server:
            out_wrapped(f"http://{LOCAL[0]}:{server.server_address[1]}/ until Ctrl-C; programs POST rows to /predict")
            server.serve_forever()
