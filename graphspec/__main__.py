"""``graphspec`` and ``python -m graphspec``."""

from __future__ import annotations


def main() -> None:
    import atexit
    import gc
    import os

    gc.set_threshold(100_000)  # importing makes many objects that stay: collecting less often starts a tenth sooner
    atexit.register(gc.freeze)  # nor are they searched when all ends: that is a sixth of the time of `validate`
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # else it looks through every package installed

    from graphspec.cli.app import app
    from graphspec.cli.console import prepare_streams

    prepare_streams()
    app(prog_name="graphspec")


if __name__ == "__main__":
    main()
