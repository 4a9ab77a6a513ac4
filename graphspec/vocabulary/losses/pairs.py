"""Losses that compare rows: the same row of two or three nodes, or all rows of a batch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

from graphspec.base.config import NonNegative, Positive, described, setting
from graphspec.base.errors import Problem
from graphspec.graph.ir.dims import show
from graphspec.graph.ir.graph import Type
from graphspec.vocabulary import Builder, Value
from graphspec.vocabulary.losses.loss import LOSSES, Loss, other_activation, producer, refuse, total, warn


class OfGroups(Loss, targets="groups", uses_mask=False):
    """Base of the losses that compare all rows of a batch, by the groups that they belong to."""

    def check_shape(self, y_pred: Value) -> list[Problem]:
        if y_pred.rank == 2:
            return []
        text = f"compares vectors (batch, features), but the head has shape {show(y_pred.shape)}"
        return refuse(text, "reduce the head to one vector per row, for example by global pooling")

    @staticmethod
    def same(g: Builder, ids: Value) -> tuple[Value, Value]:
        """Emit which pairs of an own row and any row are of one group, without a row itself, and which are not."""
        last, first, number = g.constant([1]), g.constant([0]), g.RowNumbers(ids)
        alike, itself = (g.Equal(g.Unsqueeze(X, last), g.Unsqueeze(g.AllRows(X), first)) for X in (ids, number))
        return alike & ~itself, ~alike


@LOSSES.add("circle", "Circle")
class Circle(OfGroups, label="circle"):
    """Circle loss: it pulls rows of one class together and pushes rows of different classes apart.

    ``softplus(P + Q)`` for every row x, with the distances ``d = max(1 - x · r, 0)`` from x to the rows r of the whole
    batch and the margin m: ``P = log Σ exp(-γ (m + d)⁺ (m - d))`` over the rows of x's class,
    ``Q = log Σ exp(γ (1 + m - d)⁺ (1 - m - d))`` over the other rows. A row without a partner does not count.

    Shapes: head (N, features), rows of length 1; targets (N,), class ids: any integers, compared for equality only →
    (N,).

    Source: Sun et al., *Circle Loss: A Unified Perspective of Pair Similarity Optimization*, CVPR 2020.
    """

    gamma: Positive = setting(80.0, "The scale γ: larger values focus on the hardest pairs.")
    margin: float = setting(0.4, "The margin m.")
    remove_diagonal: bool = setting(True, "Whether a row is excluded from its own partners.")

    def check_activation(self, y_pred: Value) -> list[Problem]:
        name = other_activation(producer(y_pred))
        if name is None:
            return super().check_activation(y_pred)
        text = f"compares vectors of length 1, but the head ends in {name}"
        return warn(text, "add a UnitNormalization after the layer")

    def lower(self, g: Builder, y_true: Value, y_pred: Value, **lengths: Value) -> Value:
        pairs, others = self.same(g, y_true)
        pairs, d, m = pairs if self.remove_diagonal else ~others, g.Relu(1.0 - products(g, y_pred, y_pred)), self.margin
        near = log_sum(g, g.Relu(d + m) * (d - m) * self.gamma, pairs)
        far = log_sum(g, g.Relu(1.0 + m - d) * (1.0 - m - d) * self.gamma, others)
        values = g.Softplus(near + far)
        return values.with_mask(values > 0.0)


Distance = Annotated[
    Literal["euclidean", "squared_euclidean", "cosine"],
    described("The distance of two vectors: its length, its square, or 1 minus the cosine."),
]
_FAR = 1e30  # a distance, or a logit, of what does not count


@LOSSES.add("triplet_semi_hard", "TripletSemiHard")
class TripletSemiHard(OfGroups, label="triplet_semi_hard"):
    """``max(d(a, p) − d(a, n) + margin, 0)``, the mean over all pairs a, p of one group in the batch.

    The negative n is the nearest row of another group that is farther from a than p is; if none is, the farthest one. The
    batch is that of all workers.

    Shapes: head (N, features), rows of length 1; targets (N,), class ids: any integers → a scalar for the whole batch.

    Source: Schroff, Kalenichenko and Philbin, *FaceNet*, CVPR 2015, as in TensorFlow Addons.
    """

    margin: NonNegative = setting(1.0, "How much closer the positive is to be.")
    distance: Distance = "euclidean"

    def lower(self, g: Builder, y_true: Value, y_pred: Value, **lengths: Value) -> Value:
        (pairs, others), one, far = self.same(g, y_true), g.constant([1]), g.constant(_FAR)
        d = among(g, y_pred, self.distance)
        near, negatives, of_others = g.Unsqueeze(d, g.constant([2])), g.Unsqueeze(d, one), g.Unsqueeze(others, one)
        outside = g.ReduceMin(g.Where(of_others & (negatives > near), negatives, far), axes=(2,), keepdims=0)
        inside = g.ReduceMax(g.Where(others, d, g.constant(0.0)), axes=(1,), keepdims=1)
        excess = g.Relu(d - g.Where(outside < _FAR, outside, inside) + self.margin)
        values, count = g.Where(pairs, excess, g.constant(0.0)), g.Cast(pairs, to="float32")
        whole, number = (g.BatchSum(g.ReduceSum(X, one, keepdims=0)) for X in (values, count))
        return whole / g.Max(number, g.constant(1.0))


@LOSSES.add("supcon", "SupCon")
class SupCon(OfGroups, label="supcon"):
    """The mean of ``−log softmax`` at each other row of the row's group, by cosines divided by ``temperature``.

    The softmax is over all other rows of the batch, that of all workers. A row without a partner does not count.

    Shapes: head (N, features); targets (N,), class ids: any integers, compared for equality only → (N,).

    Source: Khosla et al., *Supervised Contrastive Learning*, NeurIPS 2020: its L_out, without a base temperature.
    """

    temperature: Positive = setting(0.1, "It divides the cosines: less weighs the closest rows more.")

    def lower(self, g: Builder, y_true: Value, y_pred: Value, **lengths: Value) -> Value:
        (pairs, others), X = self.same(g, y_true), g.LpNormalization(y_pred, axis=1, p=2)
        logits, of_pairs = products(g, X, X) * (1 / self.temperature), g.Cast(pairs, to="float32")
        count = total(g, of_pairs)
        mean = total(g, logits * of_pairs) / g.Max(count, g.constant(1.0))
        return (log_sum(g, logits, pairs | others) - mean).with_mask(count > 0.0)


def products(g: Builder, X: Value, Z: Value) -> Value:
    """Emit the products of each own row of X with the rows of Z of all workers, (N, N)."""
    return X @ g.transpose(g.AllRows(Z), (1, 0))


def log_sum(g: Builder, logits: Value, counts: Value) -> Value:
    """Emit ``log Σ exp`` over the columns that count."""
    return g.ReduceLogSumExp(g.Where(counts, logits, g.constant(-_FAR)), axes=(1,), keepdims=0)


def among(g: Builder, X: Value, kind: str) -> Value:
    """Emit the distances of each own row of X to the rows of all workers, (N, N)."""
    if kind == "cosine":
        X = g.LpNormalization(X, axis=1, p=2)
        return 1.0 - products(g, X, X)
    square = g.ReduceSum(X * X, g.constant([1]), keepdims=1)
    squared = g.Relu(square + g.transpose(g.AllRows(square), (1, 0)) - products(g, X, X) * 2.0)
    if kind == "squared_euclidean":
        return squared
    known = squared > 0.0  # the length has no derivative at 0
    return g.Where(known, g.Sqrt(g.Where(known, squared, g.constant(1.0))), g.constant(0.0))


# Losses over pairs and triplets of nodes: the same row of two or three nodes, or all rows of two nodes.
_EPSILON = 1e-6  # as in PyTorch: it is added to differences, so that the length has a derivative at 0


class OfNodes(Loss, targets="none", nodes=(2, 2), has_output=False, uses_mask=False):
    """Base of the losses that compare nodes with each other, row by row: vectors (N, features)."""

    names: ClassVar[str] = "[a, b]"  # what `layer` lists, in messages

    def check_values(self, values: Sequence[Value]) -> list[Problem]:
        vectors = values[: self.nodes[0]]  # more nodes are something else
        for value in vectors:
            if not value.type.is_float:
                return refuse(f"needs float32 values, got {value.dtype}", "use the layer that computes these values")
            if value.rank != 2 or value.shape[0] != "N":
                text = f"compares vectors (batch, features), but a node has shape {show(value.shape)}"
                return refuse(text, "reduce it to one vector per row, for example by global pooling or Flatten")
        shapes = {value.shape for value in vectors}
        if len(shapes) > 1:
            text = f"compares vectors of one size, got {' and '.join(show(value.shape) for value in values)}"
            return refuse(text, "project them to the same number of units with a Dense layer")
        return []


def between(g: Builder, a: Value, b: Value, kind: str) -> Value:
    """Emit the distance of two vectors of each row, (N,)."""
    if kind == "cosine":
        one = g.constant(1.0)
        a, b = (g.LpNormalization(X, axis=1, p=2) for X in (a, b))
        return one - total(g, a * b)
    difference = a - b
    if kind == "euclidean":
        difference = difference + _EPSILON
    squared = total(g, difference * difference)
    return g.Sqrt(squared) if kind == "euclidean" else squared


@LOSSES.add("cosine", "Cosine")
class Cosine(OfNodes, label="cosine"):
    """``1 − cos(a, b)``: it turns the vectors of two nodes in one direction. A vector of zeros has the cosine 0.

    Shapes: nodes ``[a, b]``, each (N, features) → (N,). There are no targets.
    """

    def lower_values(self, g: Builder, y_true: Value | None, values: Sequence[Value], **lengths: Value) -> Value:
        return between(g, values[0], values[1], "cosine")


@LOSSES.add("contrastive", "Contrastive")
class Contrastive(OfNodes, label="contrastive", targets="like", probability_targets=True):
    """``½ y d² + ½ (1 − y) max(margin − d, 0)²``: it pulls pairs together, and pushes others ``margin`` apart.

    The target y of a row is 1 if its vectors belong together, else 0; d is their distance.

    Shapes: nodes ``[a, b]``, each (N, features); targets (N,) → (N,).

    Source: Hadsell, Chopra and LeCun, *Dimensionality Reduction by Learning an Invariant Mapping*, CVPR 2006, where
    targets are 0 for pairs that belong together.
    """

    margin: NonNegative = setting(1.0, "The distance from which vectors are far enough apart.")
    distance: Distance = "euclidean"

    def target(self, y_pred: Value) -> Type:
        return Type("float32", y_pred.shape[:1])

    def lower_values(self, g: Builder, y_true: Value | None, values: Sequence[Value], **lengths: Value) -> Value:
        assert y_true is not None
        d = between(g, values[0], values[1], self.distance)
        apart = g.Relu(self.margin - d)
        others = (1.0 - y_true) * (apart * apart)
        return (y_true * (d * d) + others) * 0.5


@LOSSES.add("triplet", "Triplet")
class Triplet(OfNodes, label="triplet", nodes=(3, 3), names="[anchor, positive, negative]"):
    """``max(d(anchor, positive) − d(anchor, negative) + margin, 0)``: the positive is to be closer than the negative.

    Shapes: nodes ``[anchor, positive, negative]``, each (N, features) → (N,). There are no targets.

    Source: Schroff, Kalenichenko and Philbin, *FaceNet*, CVPR 2015; distances as in PyTorch's ``TripletMarginLoss``.
    """

    margin: NonNegative = setting(1.0, "How much closer the positive is to be.")
    distance: Distance = "euclidean"

    def lower_values(self, g: Builder, y_true: Value | None, values: Sequence[Value], **lengths: Value) -> Value:
        anchor, positive, negative = values
        near, far = (between(g, anchor, other, self.distance) for other in (positive, negative))
        return g.Relu(near - far + self.margin)


@LOSSES.add("info_nce", "InfoNCE", "nt_xent")
class InfoNCE(OfNodes, label="info_nce"):
    """The cross-entropy of finding a row's other view among all rows of the batch, by cosines divided by ``temperature``.

    For the views ``a`` and ``b`` of row i: the mean of ``−log softmax`` at b[i] for a[i] over all rows of b and the other
    rows of a, and of the same with a and b exchanged. The batch is that of all workers.

    Shapes: nodes ``[a, b]``, each (N, features) → (N,). There are no targets.

    Source: Chen et al., *A Simple Framework for Contrastive Learning of Visual Representations*, ICML 2020 (NT-Xent).
    """

    temperature: Positive = setting(0.1, "It divides the cosines: less weighs the closest rows more.")

    def lower_values(self, g: Builder, y_true: Value | None, values: Sequence[Value], **lengths: Value) -> Value:
        a, b = (g.LpNormalization(X, axis=1, p=2) for X in values)
        return views(g, a, b, g.constant(1 / self.temperature, "float32"), OfGroups.same(g, g.RowNumbers(a))[1])


@LOSSES.add("clip", "CLIP")
class CLIP(OfNodes, label="clip", nodes=(2, 3), names="[a, b] or [a, b, log_scale]"):
    """The symmetric cross-entropy of two towers: each row of one is to find its row of the other in the whole batch.

    For row i: the mean of ``−log softmax`` at b[i] over all rows of b, and at a[i] over all rows of a. The logits are
    cosines divided by ``temperature``. If a third node is given, they are multiplied by its exponential instead, the
    logarithm of a scale that is learnt; at most 100, as in CLIP.

    Shapes: nodes ``[a, b]``, each (N, features), and perhaps a node with one number → (N,). There are no targets.

    Source: Radford et al., *Learning Transferable Visual Models From Natural Language Supervision*, ICML 2021.
    """

    temperature: Positive = setting(0.07, "It divides the cosines, if no node gives a scale.")

    def check_values(self, values: Sequence[Value]) -> list[Problem]:
        for scale in values[2:]:
            if not scale.type.is_float or any(d != 1 for d in scale.shape):
                text = f"takes one number as its third node, the logarithm of the scale, got {scale.type}"
                return refuse(text, "use a Parameter with the shape [], or remove the node")
        return super().check_values(values)

    def lower_values(self, g: Builder, y_true: Value | None, values: Sequence[Value], **lengths: Value) -> Value:
        a, b = (g.LpNormalization(X, axis=1, p=2) for X in values[:2])
        scale = g.constant(1 / self.temperature, "float32")
        for given in values[2:]:
            number = given if given.rank == 0 else g.Reshape(given, g.constant((), "int64"))
            scale = g.Exp(g.Min(number, g.constant(math.log(100.0))))
        return views(g, a, b, scale)


def views(g: Builder, a: Value, b: Value, scale: Value, others: Value | None = None) -> Value:
    """Emit the mean of ``−log softmax`` at each row's other view, among all rows of that, and the ``others`` of its own."""
    partner, terms = total(g, a * b) * scale, list[Value]()
    for X, Z in ((a, b), (b, a)):
        logits = products(g, X, Z) * scale
        if others is not None:
            own = g.Where(others, products(g, X, X) * scale, g.constant(-_FAR))
            logits = g.Concat(logits, own, axis=1)
        terms.append(g.ReduceLogSumExp(logits, axes=(1,), keepdims=0) - partner)
    return (terms[0] + terms[1]) * 0.5
