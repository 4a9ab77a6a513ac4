"""``graphspec serve``: a page to try a network on, and an endpoint for programs, on this computer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from graphspec.base.errors import UsageError
from graphspec.cli.console import out_wrapped
from graphspec.cli.options import Allow, argument, option
from graphspec.cli.page import Engine, exported


def serve(
    network: Annotated[Path, argument("FILE|RUN", "An exported file, or a run, which is exported and proved first.")],
    port: Annotated[
        int, option("N", "The port; 8000 by default, 0 is any free one.", "--port", min=0, max=65535)
    ] = 8000,
    threads: Annotated[int, option("N", "Predictions at the same time; 2 by default.", "--threads", min=1)] = 2,
    limit: Annotated[int, option("MB", "Megabytes that a request may have; 16 by default.", "--limit", min=1)] = 16,
    engine: Engine = None,
    allow: Allow = None,
) -> None:
    """Serve the page of a network, and answers to rows of JSON, on this computer alone, to try it.

    For many users there are MLflow, Triton and the service of examples/node-service.
    """
    from graphspec.cli.predict import answers_in_lines
    from graphspec.show.page.build import page_of
    from graphspec.show.page.form import form_of
    from graphspec.show.page.server import LOCAL, Server, openapi

    with exported(network, "serve", allow) as file:
        about = form_of(file)
        html, api, answer = page_of(file, engine, about=about), openapi(about), answers_in_lines(file)
        try:
            server = Server((LOCAL[0], port), html, api, answer, limit=limit << 20, threads=threads)
        except OSError as error:
            raise UsageError(f"port {port} cannot be used: {error.strerror}; choose another one with --port") from None
        with server:
            out_wrapped(f"http://{LOCAL[0]}:{server.server_address[1]}/ until Ctrl-C; programs POST rows to /predict")
            server.serve_forever()
