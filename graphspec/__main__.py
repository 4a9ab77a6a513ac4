"""``graphspec`` and ``python -m graphspec``."""

from __future__ import annotations


def main() -> None:
    import gc

    gc.set_threshold(50_000)  # importing makes many objects that stay: collecting less often starts a tenth sooner

    from graphspec.cli.app import app
    from graphspec.cli.console import prepare_streams

    prepare_streams()
    app(prog_name="graphspec")


if __name__ == "__main__":
    main()
