"""The pictures of the vocabulary's pages and of the first page: ``python -m docs.pictures [NAME …]`` draws them here.

Each is computed with graphspec's own layers on small arrays, so that its numbers are true.
"""

from __future__ import annotations

from collections.abc import Callable

from docs.pictures.digits import pictures
from docs.pictures.functions import activations, losses, schedules
from docs.pictures.grids import convolution, pooling, reshaping
from docs.pictures.rows import records
from docs.pictures.scores import metrics
from docs.pictures.sequences import attention, recurrent
from docs.pictures.tiles import TILES
from docs.pictures.training import callbacks, optimizers, weights
from docs.pictures.units import basic, merging
from docs.pictures.values import normalization, regularization

PICTURES: dict[str, Callable[[], str]] = {
    "basic": basic,
    "convolution": convolution,
    "pooling": pooling,
    "recurrent": recurrent,
    "attention": attention,
    "normalization": normalization,
    "regularization": regularization,
    "merging": merging,
    "reshaping": reshaping,
    "activations": activations,
    "records": records,
    "pictures": pictures,
    "losses": losses,
    "metrics": metrics,
    "optimizers": optimizers,
    "schedules": schedules,
    "weights": weights,
    "callbacks": callbacks,
    **TILES,
}
"""What draws each picture, by the name of its file."""
