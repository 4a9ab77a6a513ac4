"""The entry point of ``graphspec`` and ``python -m graphspec``."""

from __future__ import annotations

import os
import sys

from graphspec.cli.stopping import on_signal, on_unraisable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from signal import SIG_IGN, SIGINT, getsignal, signal
    from typing import Any
else:
    from _signal import SIG_IGN, SIGINT, getsignal, signal  # Ctrl-C could interrupt the imports of `signal`


def main() -> None:
    """Run the command line and exit with its status.

    Ctrl-C ends the process at once. An exception would not be reliable: imports turn it into errors of their own, and
    finalizers swallow it. No cleanup is needed, since a file is either complete or absent. Two activities get a
    KeyboardInterrupt and clean up after it: writing a file, and training. ``train`` does the same with the signals of
    batch systems.
    """
    ignored = getsignal(SIGINT) == SIG_IGN  # set by the parent process: Ctrl-C is meant for other processes
    if not ignored:
        signal(SIGINT, on_signal)
    sys.unraisablehook = on_unraisable

    from graphspec.base.files import open_closed_streams

    open_closed_streams()
    import atexit
    import gc

    from graphspec.base.arrays.cores import ONE_THREAD, threads_set

    # Imports create many objects that stay alive. Fewer collections make the start 10 % faster.
    gc.set_threshold(100_000)
    if sys.argv[1:2] == ["validate"]:
        gc.disable()  # it pauses collection anyway, which at its end would take as long as a tenth of all
    atexit.register(gc.freeze)  # skip them at exit, too: a sixth of the time of `validate`
    if threads_set() is None:
        os.environ.update(ONE_THREAD)  # before NumPy is imported: BLAS then starts no threads at all
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # else pydantic searches all installed packages

    from graphspec.cli.console import ASKED, asked, prepare_streams

    prepare_streams()
    try:
        words = asked() if ASKED in os.environ else sys.argv[1:]
        app_for(words, complete=ASKED in os.environ)(prog_name="graphspec")
    finally:
        signal(SIGINT, SIG_IGN)  # the work is done; let Python exit undisturbed


ALONE = (
    *("data", "diff", "doctor", "evaluate", "explain", "export", "init", "inspect"),
    *("page", "predict", "report", "schema", "search", "serve", "summary", "train", "upgrade", "validate"),
)  # the commands in files of their names, or of these
BESIDE = {"diff": "summary", "serve": "page"}


def app_for(words: list[str], *, complete: bool = False) -> Any:
    """Return the command line that answers these words: of one command if they begin with it, without loading others.

    ``complete``: a shell asks how they go on.
    """
    by_typer = complete or os.name == "nt"  # Windows leaves patterns to it
    files = words[1:] if words[:1] == ["validate"] and not by_typer else []
    if files and not any(word[:1] in ("", "-") for word in files):  # importing typer takes a twentieth of the time
        from pathlib import Path

        from graphspec.cli.console import status_of
        from graphspec.cli.validate import validate

        return lambda prog_name: sys.exit(status_of(lambda: validate([*map(Path, files)])))
    if words[:1] and words[0] in ALONE:
        from importlib import import_module

        from graphspec.cli.usage import app_of

        file = BESIDE.get(words[0], words[0])
        return app_of([getattr(import_module(f"graphspec.cli.{file}"), words[0])])
    from graphspec.cli.app import app

    return app


if __name__ == "__main__":
    main()
