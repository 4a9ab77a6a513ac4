"""``graphspec`` and ``python -m graphspec``."""

from __future__ import annotations


def main() -> None:
    import gc
    import os

    gc.set_threshold(50_000)  # importing makes many objects that stay: collecting less often starts a tenth sooner
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # else it looks through every package installed

    from graphspec.cli.app import app
    from graphspec.cli.console import prepare_streams

    prepare_streams()
    app(prog_name="graphspec")


if __name__ == "__main__":
    main()
