"""What a model shows of itself: its report, its table of nodes, its line in a console, its page in a notebook."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TextIO

from graphspec.api.from_keras import NO_ESTIMATOR
from graphspec.base.arguments import flag, path_of, positive_int
from graphspec.base.errors import UsageError
from graphspec.base.text import printable, terminal_width
from graphspec.data.signature import user_arrays, x_and_y
from graphspec.engine.runtime.session import Session

if TYPE_CHECKING:
    from graphspec.data.signature import Data
    from graphspec.engine.training.reporting import Fitted


class Shown(Session):
    """The part of a model that shows itself."""

    _fitted: Fitted | None = None

    def report(self, path: str | Path, x: Data = None, y: Data = None, *, sample_weight: Data = None) -> Path:
        """Write an HTML page about the model and its last ``fit``: results, curves, mistakes, the network.

        Args:
            path: the file, which ends in ``.html``.
            x, y: the rows to judge by, as for :meth:`evaluate`; by default the spec's test rows, else its validation
                rows, else its training rows. Without any, the page has no results by row, and says so.

        Raises:
            SpecError: the arrays do not fit the network (GS5).
            UsageError: an argument is wrong.

        Example::

            model = gs.compile("specs/housing.yaml")
            model.fit(epochs=1, verbose=0)
            model.report("housing.html")
        """
        from graphspec.engine.training.reporting import Fitted
        from graphspec.show.report.build import write_model_report

        x, y = x_and_y("report", self.needed, x, y, self.spec)
        file = path_of("path", path)
        if file.suffix.lower() not in (".html", ".htm"):
            raise UsageError(f"'{file}' must end in .html: a report is an HTML page")
        self.require_adapted()
        rows = None if x is None else user_arrays(self.needed, x, y, sample_weight)
        return write_model_report(self, file, self._fitted or Fitted({}, None, None), rows).path

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
        from graphspec.show.notebook.pages import summary

        rows = positive_int("batch_size", batch_size, self.spec.training.batch_size)
        columns = terminal_width(file or sys.stdout) if width is None else positive_int("width", width, 100)
        lines = summary(self, rows, width=columns, expand=flag("expand", expand, False))
        print(printable("\n".join(lines)), file=file)

    def __sklearn_clone__(self) -> NoReturn:
        """Say what to do in place of scikit-learn's functions for estimators, which call this."""
        raise UsageError(NO_ESTIMATOR)

    __sklearn_tags__ = __sklearn_clone__

    def __repr__(self) -> str:
        from graphspec.show.notebook.pages import described

        return described(self)

    def _repr_html_(self) -> str:
        from graphspec.show.notebook.pages import model_page

        return model_page(self)
