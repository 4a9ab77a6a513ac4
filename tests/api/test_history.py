"""A history: a mapping, its best epoch, and what a notebook shows."""

from __future__ import annotations

import graphspec as gs
from graphspec.show.drawing.curves import Best

VALUES = {
    "loss": [1.0, 0.5, 0.25],
    "accuracy": [0.1, 0.2, 0.4],
    "val_loss": [1.0, 0.6, 0.7],
    "val_accuracy": [0.1, 0.5, 0.3],
}


def test_a_history_is_a_mapping_of_lists() -> None:
    history = gs.History(VALUES, "blobs")
    assert dict(history) == history.history == VALUES
    assert history["loss"] == [1.0, 0.5, 0.25]
    assert (history.epochs, history.epoch) == (3, [0, 1, 2])
    assert history.last() == {"loss": 0.25, "accuracy": 0.4, "val_loss": 0.7, "val_accuracy": 0.3}
    assert history.best() == Best(2, "val_loss", 0.6)
    assert history.best("accuracy") == Best(3, "accuracy", 0.4)
    assert repr(history) == (
        "<graphspec.History 'blobs', 3 epochs: loss 0.2500, accuracy 0.4000, val_loss 0.7000, val_accuracy 0.3000; "
        "best epoch 2 (val_loss 0.6000)>"
    )
    empty = gs.History({})
    assert (empty.epochs, empty.best(), repr(empty)) == (0, None, "<graphspec.History 'training', 0 epochs>")
    empty._repr_html_()


def test_a_notebook_shows_curves_and_a_table() -> None:
    page = gs.History(VALUES, "<blobs>")._repr_html_()
    assert page.startswith('<img alt="" style="max-width: 100%" src="data:image/svg+xml;base64,')
    assert "<th scope=row>val_accuracy</th><td>0.3000</td><td>0.5000</td><td>2</td>" in page
    assert "<details>" not in page
    many = gs.History({f"metric_{k}": [1.0] for k in range(30)})._repr_html_()
    assert "<details><summary>values</summary>" in many
