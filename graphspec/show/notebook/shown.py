"""What a model shows of itself: its table of nodes, its line in a console, its page in a notebook."""

from __future__ import annotations

import sys
from typing import NoReturn, TextIO

from graphspec.base.arguments import flag, positive_int
from graphspec.base.errors import UsageError
from graphspec.base.text import printable, terminal_width
from graphspec.engine.runtime.session import Session
from graphspec.show.notebook.from_keras import NO_ESTIMATOR


class Shown(Session):
    """The part of a model that shows itself."""

    def summary(
        self,
        *,
        batch_size: int | None = None,
        width: int | None = None,
        expand: bool = False,
        file: TextIO | None = None,
    ) -> None:
        """Print the table of ``graphspec summary``: every node with its output shape, parameters, memory, multiply-adds.

        Args:
            batch_size: the batch size for the memory; the spec's by default.
            width: the columns to fit into; the terminal's by default.
            expand: print every node of a record, not one row.
            file: where to print; standard output by default.

        Example::

            gs.compile("specs/housing.yaml").summary()
        """
        from graphspec.show.notebook.model import summary

        rows = positive_int("batch_size", batch_size, self.spec.training.batch_size)
        columns = terminal_width(file or sys.stdout) if width is None else positive_int("width", width, 100)
        lines = summary(self, rows, width=columns, expand=flag("expand", expand, False))
        print(printable("\n".join(lines)), file=file)

    def __sklearn_clone__(self) -> NoReturn:
        """Say what to do in place of scikit-learn's functions for estimators, which call this."""
        raise UsageError(NO_ESTIMATOR)

    __sklearn_tags__ = __sklearn_clone__

    def __repr__(self) -> str:
        from graphspec.show.notebook.model import described

        return described(self)

    def _repr_html_(self) -> str:
        from graphspec.show.notebook.model import model_page

        return model_page(self)
