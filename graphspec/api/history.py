"""The result of ``fit``: losses and metrics by epoch, with curves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from graphspec.base.text import printable, significant

if TYPE_CHECKING:
    from graphspec.show.drawing.curves import Best, Curves

_SHOWN = 6  # values that a `repr` names


class History(Mapping[str, list[float]]):
    """The result of ``fit``: a mapping with one value per epoch for each of Keras's keys (``loss``, ``val_loss``, …).

    A notebook shows it as curves. ``pandas.DataFrame(history.history)`` is a table with one row per epoch.

    Attributes:
        history: the values, as a plain dict of lists.
        epoch: the epoch numbers, from 0.
        name: the name of the network, the title of the curves.

    Example::

        history = gs.compile("specs/housing.yaml").fit(epochs=3, verbose=0)
        history["val_loss"]  # a list of three numbers; also history.history["val_loss"]
        history.best()  # Best(epoch=3, key='val_loss', value=…); epochs count from 1
        history.plot().save("curves.svg")
    """

    def __init__(self, history: Mapping[str, Sequence[float]], name: str = "training") -> None:
        self.history: dict[str, list[float]] = {key: list(values) for key, values in history.items()}
        self.epoch = list(range(max(map(len, self.history.values()), default=0)))
        self.name = name

    def __getitem__(self, key: str) -> list[float]:
        return self.history[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.history)

    def __len__(self) -> int:
        return len(self.history)

    @property
    def epochs(self) -> int:
        """The number of epochs."""
        return len(self.epoch)

    def last(self) -> dict[str, float]:
        """Return the values of the last epoch."""
        return {key: values[-1] for key, values in self.history.items() if values}

    def best(self, key: str | None = None) -> Best | None:
        """Return the epoch, from 1, in which ``key`` is best (default: ``val_loss``, else ``loss``), and its value.

        None if there is no epoch, or if neither high nor low values of ``key`` are better.
        """
        from graphspec.show.drawing.curves import best_epoch

        return best_epoch(self.history, key)

    def plot(self) -> Curves:
        """Return the curves: a notebook shows them, ``.save("curves.svg")`` writes them."""
        from graphspec.show.drawing.curves import Curves

        return Curves(self.history, self.name)

    def __repr__(self) -> str:
        parts = [f"{key} {significant(value)}" for key, value in list(self.last().items())[:_SHOWN]]
        text = f"{self.epochs} epoch{'' if self.epochs == 1 else 's'}" + (f": {', '.join(parts)}" if parts else "")
        best = self.best()
        if best is not None and self.epochs > 1:
            text += f"; best epoch {best.epoch} ({best.key} {significant(best.value)})"
        return printable(f"<graphspec.History '{self.name}', {text}>")

    def _repr_html_(self) -> str:
        from graphspec.show.notebook.pages import history_html

        return history_html(self.plot().svg(), self.last(), {key: self.best(key) for key in self.history})
