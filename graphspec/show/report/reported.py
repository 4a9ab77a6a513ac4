"""The report of a model in the memory: ``Model.report``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from graphspec.base.arguments import path_of
from graphspec.base.errors import UsageError
from graphspec.data.signature import user_arrays, x_and_y
from graphspec.engine.runtime.session import Session

if TYPE_CHECKING:
    from graphspec.data.signature import Data
    from graphspec.engine.training.timing import Fitted


class Reported(Session):
    """A session that can write a report about its last training."""

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
        from graphspec.engine.training.timing import Fitted
        from graphspec.show.report.build import write_model_report

        x, y = x_and_y("report", self.needed, x, y, self.spec)
        file = path_of("path", path)
        if file.suffix.lower() not in (".html", ".htm"):
            raise UsageError(f"'{file}' must end in .html: a report is an HTML page")
        self.require_adapted()
        rows = None if x is None else user_arrays(self.needed, x, y, sample_weight)
        return write_model_report(self, file, self._fitted or Fitted({}, None, None), rows).path
