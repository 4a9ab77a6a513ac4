"""Random arguments for layers of records: of texts, dates, categories and gaps, with given arguments or learning them."""

from __future__ import annotations

from graphspec.graph.cuts import repeatable
from graphspec.graph.ir.dims import LearntSize
from graphspec.graph.ir.graph import Graph, Value
from trust.drawn import Args, Drawing, Tensor, draws

WORDS = ("red car", "2024-02-29 10:30", "", "b", "B", " a  a ", "Zoë", "日本語 mat", "\0", "!?", "NA", "😀", "x" * 300)
"""Texts of rows; each of the first two fills a row, so that there is something to learn from."""
MISSING = -(2**63)
TEXT_LAYERS = frozenset(("StringLookup", "TextVectorization", "Hashing", "HashedCrossing", "DateParts"))
BEHIND_LEARNT_SIZES = frozenset(
    (
        "Dense",
        "Dropout",
        "LayerNormalization",
        "BatchNormalization",
        "UnitNormalization",
        "CategoryEncoding",
        "Embedding",
    )
)
"""Layers that take a size that is not known yet; arguments of others name the sizes."""

KEEPS_IDS = frozenset(
    ("Identity", "Flatten", "Reshape", "Permute", "RepeatVector", "Concatenate", "Maximum", "Minimum")
)
KEEPS_IDS |= {f"{what}{n}D" for what in ("Cropping", "ZeroPadding") for n in (1, 2, 3)}
MAKES_IDS = frozenset(("StringLookup", "IntegerLookup", "TextVectorization", "Hashing", "HashedCrossing"))


def may_take(kind: str, t: Tensor) -> bool:
    """Whether a layer takes texts, gaps or learnt sizes where the value has them."""
    if t.is_text:
        return kind in TEXT_LAYERS
    if t.gaps:
        return kind == "Impute"
    return t.plain or kind in BEHIND_LEARNT_SIZES


def _vocabulary(d: Drawing, words: list[object]) -> Args:
    """A given vocabulary, or none: it is learnt."""
    return {"vocabulary": d.random.sample(words, d.int(1, len(words)))} if d.chance(0.5) else {}


def _weights(d: Drawing, args: Args) -> Args:
    if args.get("output_mode") != "tf_idf" or "vocabulary" not in args:
        return args
    return args | {"idf_weights": [d.number(0.1, 2) for _ in args["vocabulary"]]}


@draws("StringLookup")
def strings(d: Drawing, t: Tensor) -> Args | None:
    if not t.is_text:
        return None
    args = _vocabulary(d, ["red car", "b", "B", "日本語 mat", "\0", "never"])
    modes = ("int", "one_hot") if t.shape != (1,) else ("int", "one_hot", "multi_hot", "count", "tf_idf")
    if d.chance(0.5):
        args |= {"mask_token": "", **d.some(missing_tokens=["NA", "!?"])}
    return _weights(d, args | {"output_mode": d.among(modes)} | d.some(num_oov_indices=3, salt=5, min_count=2))


@draws("IntegerLookup")
def integers(d: Drawing, t: Tensor) -> Args | None:
    if not t.fresh or t.ids is None or not t.rank or t.rank > 2:
        return None
    args = _vocabulary(d, [0, 1, 2, 5, -7]) | d.some(num_oov_indices=2)
    if t.rank == 1 and d.chance(0.5):
        args |= {"mask_token": MISSING, **d.some(missing_tokens=[1000])}
    modes = ("int", "one_hot", "multi_hot", "count", "tf_idf") if t.rank == 1 else ("int",)
    return _weights(d, args | {"output_mode": d.among(modes)})


@draws("TextVectorization")
def vectorized(d: Drawing, t: Tensor) -> Args | None:
    if t.shape != (1,) or not t.is_text:
        return None
    args = _vocabulary(d, ["red", "car", "b", "red car", "zoë", "日本語", "2024"])
    args |= d.some(split="character", standardize=d.one("lower", None, "strip_punctuation"), ngrams=d.one(2, [1, 2]))
    args["output_mode"] = d.one("int", "multi_hot", "count", "tf_idf")
    if args["output_mode"] == "int":
        args["output_sequence_length"] = d.int(1, 4)
    return _weights(d, args)


@draws("Hashing")
def hashing(d: Drawing, t: Tensor) -> Args | None:
    if not t.fresh or not t.rank or t.rank > 2 or (not t.is_text and t.ids is None):
        return None
    args = {"num_bins": d.int(1, 6), **d.some(salt=d.one(3, [1, 2]), mask_value="" if t.is_text else 1)}
    modes = ("int", "one_hot", "multi_hot", "count") if t.rank == 1 else ("int",)
    return args | {"output_mode": d.among(modes)}


@draws("HashedCrossing")
def crossing(d: Drawing, t: Tensor) -> Args | None:
    def fits(o: Tensor) -> bool:
        return o.fresh and o.shape == (1,) and (o.is_text or o.ids is not None)

    if not fits(t):
        return None
    others = [o for o in d.pool if fits(o)]
    args = {"num_bins": d.int(1, 6), "output_mode": d.one("int", "one_hot")}
    return args | {"inputs": [t.ref, *(d.among(others).ref for _ in range(d.int(1, 2)))]}


@draws("DateParts")
def dates(d: Drawing, t: Tensor) -> Args | None:
    if t.shape != (1,) or not t.is_text:
        return None
    parts = ["year", "month", "day", "weekday", "hour", "minute", "days"]
    return {"parts": d.random.sample(parts, d.int(1, len(parts))), **d.some(cyclic=False)}


@draws("Impute")
def imputed(d: Drawing, t: Tensor) -> Args | None:
    if not t.is_float or t.features is None:
        return None
    constant = {"strategy": "constant", "fill_value": d.number(-1, 1)}
    learning = [{"strategy": "median"}, {"strategy": "mean"}] if t.fresh else []
    return d.among([constant, {"strategy": "zero"}, *learning]) | d.some(indicator=True)


@draws("MinMaxScaling")
def scaled(d: Drawing, t: Tensor) -> Args | None:
    if t.features is None or t.dtype == "bool":
        return None
    if t.fresh and d.chance(0.5):
        return {}
    low = [d.number(-2, 0) for _ in range(t.features)]
    return d.one({"minimum": -1.0, "maximum": 2.0}, {"minimum": low, "maximum": [v + d.one(0, 1.5) for v in low]})


def quantiles_of(d: Drawing, t: Tensor, count: int) -> Args | None:
    """The argument ``quantiles``: learnt, one list, or one for each index."""
    if t.features is None or t.dtype == "bool":
        return None
    if t.fresh and d.chance(0.5):
        return {}
    lists = [sorted(d.number(-2, 2) for _ in range(count)) for _ in range(t.features)]
    return {"quantiles": d.one(lists, lists[0])}


@draws("SmoothClip")
def clipped(d: Drawing, t: Tensor) -> Args | None:
    return d.some(limit=d.number(0.5, 4)) if t.dtype != "bool" else None


@draws("WindowScaling")
def of_windows(d: Drawing, t: Tensor) -> Args | None:
    return d.some(by=d.one("last", "mean")) if t.dtype != "bool" and t.rank in (1, 2) else None


@draws("RobustScaling")
def robust(d: Drawing, t: Tensor) -> Args | None:
    return quantiles_of(d, t, 5)


@draws("PiecewiseLinear")
def pieces(d: Drawing, t: Tensor) -> Args | None:
    count = d.int(1, 6)
    args = quantiles_of(d, t, count + 1)
    return None if args is None else args | {"num_bins": count}


@draws("Log1p")
def log1p(d: Drawing, t: Tensor) -> Args | None:
    return {} if t.is_float else None


def is_fresh(value: Value, graph: Graph) -> bool:
    """Whether a value depends on no weights and no random numbers."""
    nodes = graph.needed([value])
    return repeatable(nodes) == {n.name for n in nodes}


def ids_of(node: Args, value: Value, taken: list[Tensor]) -> tuple[int | None, bool]:
    """How many ids there are, and whether that is still to be learnt."""
    if not value.dtype.startswith("int"):
        return None, False
    if node.get("type") == "Discretization":
        return len(node["bin_boundaries"]) + 1 if "bin_boundaries" in node else node["num_bins"], False
    if node.get("type") in MAKES_IDS and value.range is not None:
        high = value.range.high
        return (None, True) if isinstance(high, LearntSize) else (int(high) + 1, False)
    if node.get("type") not in KEEPS_IDS or any(t.ids is None for t in taken):
        return None, False
    return max((t.ids for t in taken if t.ids is not None), default=None), False
