"""How each head answers: its mistakes, its curves, whether its probabilities can be believed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from importlib.resources import files
from json import loads

import numpy as np

from graphspec.base import document as doc
from graphspec.base.text import count, percent, shorten_end
from graphspec.graph.ir.graph import Array
from graphspec.show.drawing.curves import Scale, linear
from graphspec.show.drawing.pictures import is_picture, pixels, small_uri
from graphspec.show.html import text
from graphspec.show.report.baselines import Baseline
from graphspec.show.report.charts import Plot, amount, halves, share, table
from graphspec.show.report.class_heads import binary_head, classes_head, labels_head
from graphspec.show.report.findings import Findings
from graphspec.show.report.kinds import Flat, HeadAnswers, Kind, Scored, flatten, labels_of, sigmoid
from graphspec.show.report.number_heads import is_series, numbers_head, series, unit_names
from graphspec.show.report.rows import evenly, places, source_of
from graphspec.show.report.scores import align, both_curves, determination
from graphspec.show.report.verdicts import rule_scores
from graphspec.vocabulary.metrics.sequences import edits, greedy_decode

# A head that reads sequences of labels: how far its readings are from the truth.
_WORST = 15
_CONFUSIONS = 20
_CELLS = 3_000_000  # of the tables of alignments: edits are counted by label in as many wrong rows, spread evenly
_LONGEST = 400  # labels of a row that is aligned
_BARS = 12
_SHOWN = 60  # characters of a reading


def readings(head: HeadAnswers) -> tuple[list[list[int]], list[list[int]], Array]:
    """Return what is true and what was read of each row, and the edits between them, as ``edit_distance`` counts them."""
    targets = head.targets
    assert targets is not None
    labels = targets.reshape(len(targets), -1).astype(np.int64)
    answers, steps, lengths = head.answers, head.lengths.get("input_length"), head.lengths.get("length")
    if steps is None:
        steps = np.full(len(answers), answers.shape[1]) if head.mask is None else np.count_nonzero(head.mask, axis=1)
    counts = np.count_nonzero(labels, axis=1) if lengths is None else lengths.reshape(-1).astype(np.int64)
    decoded, sizes = greedy_decode(answers, steps.reshape(-1).astype(np.int64))
    true = [row[:n].tolist() for row, n in zip(labels, counts, strict=True)]
    read = [row[:n].tolist() for row, n in zip(decoded, sizes, strict=True)]
    return true, read, edits(decoded, sizes, labels, counts)


def sequences_head(head: HeadAnswers, name_of: Callable[[int], str]) -> list[doc.Block]:
    """Return the edits of the readings, the worst of them, and the labels that are confused."""
    true, read, distances = readings(head)
    names = labels_of(head, head.answers.shape[-1])
    total, wrong = sum(map(len, true)), np.flatnonzero(distances)
    facts = [("Rows read without a mistake", share(1 - len(wrong) / len(distances)))]
    facts.append(("Edits per label", amount(float(distances.sum()) / total) if total else "not defined"))
    facts += [("Edits per row", amount(float(distances.mean()))), ("Labels per row", amount(total / len(true)))]
    values = doc.Facts(facts)
    undone = int((~np.isfinite(head.answers).reshape(len(head.answers), -1).all(1)).sum())
    note = [doc.Text(f"{count(undone, 'row')} with answers that are no finite numbers.", "note")] if undone else []
    if not len(wrong):
        return [values, *note, doc.Text("Every row is read without a mistake.")]
    cells = float(np.mean([min(len(true[k]), _LONGEST) * min(len(read[k]), _LONGEST) for k in wrong.tolist()]))
    rows_aligned = min(len(wrong), max(int(_CELLS / max(cells, 1)), 1))
    some = wrong[evenly(len(wrong), rows_aligned)].tolist()
    confusions, sentence = _confusions([(true[k], read[k]) for k in some], names, len(wrong))
    charts = doc.Group("charts", [_distances(distances), *_by_length(np.array([len(t) for t in true]), distances)])
    tables = doc.Group("beside", [_worst(true, read, distances, names, name_of), confusions])
    return [values, *note, sentence, charts, tables]


def _written(sequence: list[int], names: list[str]) -> str:
    """Return a sequence as text: its labels joined, with spaces unless they are single characters."""
    shown = [names[k] if 0 <= k < len(names) else str(k) for k in sequence]
    between = "" if all(len(name) == 1 for name in names[1:]) and len(names) > 10 else " "
    return shorten_end(between.join(shown), _SHOWN) or "(nothing)"


def _worst(
    true: list[list[int]], read: list[list[int]], distances: Array, names: list[str], name_of: Callable[[int], str]
) -> doc.Table:
    order = [k for k in np.argsort(-distances, kind="stable")[:_WORST].tolist() if distances[k]]
    shown = []
    for k in order:
        edits_of, texts = int(distances[k]), [_written(each[k], names) for each in (true, read)]
        shown.append((*texts, f"{edits_of}", f"{edits_of / max(len(true[k]), 1):.2f}", name_of(k)))
    columns = ("True", "Read", "Edits", "Edits per label", "Row")
    return table(f"The {count(len(shown), 'worst reading', 'worst readings')}", columns, shown, texts=2)


def _confusions(pairs: list[tuple[list[int], list[int]]], names: list[str], wrong: int) -> tuple[doc.Table, doc.Text]:
    """Return the table of the edits that occur most often, and a sentence about their kinds."""
    kinds: Counter[str] = Counter()
    found: Counter[tuple[str, str]] = Counter()
    for true, read in pairs:
        for edit in align(true[:_LONGEST], read[:_LONGEST]):
            if edit.kind != "same":
                kinds[edit.kind] += 1
                found[_name(edit.true, names), _name(edit.read, names)] += 1
    total = sum(kinds.values())
    rows = [
        (t, r, "missed" if r == "–" else "added" if t == "–" else "read as another", f"{n:,}", percent(n / total))
        for (t, r), n in sorted(found.items(), key=lambda item: (-item[1], item[0]))[:_CONFUSIONS]
    ]
    words = {"other": "read as another label", "missed": "missed", "added": "added"}
    shown = ", ".join(f"{percent(kinds[kind] / total)} {word}" for kind, word in words.items() if kinds[kind])
    of = count(wrong, "row") if len(pairs) == wrong else f"{len(pairs):,} of {wrong:,} rows"
    columns = ("True", "Read", "Edit", "Times", "Of all edits")
    said = doc.Text(f"Of the edits in {of} with mistakes: {shown}.")
    return table("The edits that occur most often", columns, rows, texts=3), said


def _name(label: int | None, names: list[str]) -> str:
    if label is None:
        return "–"
    name = names[label] if 0 <= label < len(names) else str(label)
    return "(space)" if name == " " else name


def _distances(distances: Array) -> doc.Figure:
    """Return the chart of how many rows have how many edits."""
    last = min(int(distances.max()), _BARS)
    counts = np.bincount(np.minimum(distances.astype(np.int64), last), minlength=last + 1)
    more = int(distances.max()) > last
    across = Scale(-0.5, last + 0.5, tuple(float(k) for k in range(last + 1)))
    summary = f"Edits per row: none in {counts[0]:,} of {len(distances):,} rows, "
    summary += f"median {np.median(distances):g}, most {distances.max()}"
    name = f"Edits ({last}: or more)" if more else "Edits"
    plot = Plot(across, linear([0.0, float(counts.max())]), name, "Rows", summary)
    bars = [(k - 0.4, k + 0.4, float(n)) for k, n in enumerate(counts.tolist())]
    tips = [f"{count(k, 'edit')}: {count(int(n), 'row')}" for k, n in enumerate(counts)]
    tips[-1] = tips[-1].replace(":", " or more:") if more else tips[-1]
    plot.bars(bars[:1], tips[:1], "good")
    plot.bars(bars[1:], tips[1:], "a")
    return doc.Figure("Edits per row", plot.drawing())


def _by_length(lengths: Array, distances: Array) -> list[doc.Figure]:
    """Return the chart of the edits per label by the length of the row."""
    groups = np.unique(np.quantile(lengths, np.linspace(0, 1, 9)).astype(np.int64))
    found: list[tuple[str, float, int]] = []  # lengths, edits per label, and rows
    for low, high in zip(groups.tolist(), [*(groups[1:] - 1).tolist(), int(lengths.max())], strict=True):
        chosen = (lengths >= low) & (lengths <= high)
        if chosen.any() and lengths[chosen].sum():
            rate = float(distances[chosen].sum() / lengths[chosen].sum())
            found.append((f"{low}" if low == high else f"{low}–{high}", rate, int(chosen.sum())))
    if not found:
        return []
    names, rates, _ = zip(*found, strict=True)
    across = Scale(0.5, len(found) + 0.5, tuple(float(k + 1) for k in range(len(found))), names=names)
    summary = f"Edits per label by the number of labels: from {min(rates):.3f} to {max(rates):.3f}"
    plot = Plot(across, linear([0.0, max(*rates, 0.01)]), "Labels in the row", "Edits per label", summary)
    bars = [(k + 0.6, k + 1.4, rate) for k, rate in enumerate(rates)]
    plot.bars(bars, [f"{name} labels: {rate:.3f} edits per label, {count(n, 'row')}" for name, rate, n in found])
    return [doc.Figure("Edits per label by length", plot.drawing())]


# A head that places rows near the rows of their group: whether neighbours are of one group.
MOST_ROWS = 1_500  # all pairs of them are compared
_GROUP_BARS = 24


def groups_head(head: HeadAnswers) -> list[doc.Block]:
    """Return how often nearest rows are of one group, and how alike pairs are."""
    assert head.targets is not None
    points, groups = head.answers.reshape(len(head.answers), -1).astype(np.float64), head.targets.reshape(-1)
    finite = np.isfinite(points).all(1)
    lost = int(len(points) - finite.sum())
    points, groups = points[finite], groups[finite]
    if len(points) > MOST_ROWS:
        rows = evenly(len(points), MOST_ROWS)
        points, groups = points[rows], groups[rows]
    notes = [f"{count(lost, 'row')} with answers that are no finite numbers do not count."] if lost else []
    if len(points) < 2:
        return [*(doc.Text(note, "note") for note in notes), doc.Text("There are too few rows to compare.")]
    alike = _cosines(points)
    same = groups[:, None] == groups[None, :]
    np.fill_diagonal(same, False)
    paired = same.any(1)
    above = np.triu_indices(len(points), 1)
    curve, _ = both_curves(same[above], alike[above])
    values = [
        ("Rows", f"{len(points):,}"),
        ("Groups", f"{len(np.unique(groups)):,}"),
        ("Nearest row is of the group", _recall(alike, same, paired, 1)),
        ("One of the 5 nearest is", _recall(alike, same, paired, 5)),
        ("ROC AUC of pairs", "not defined" if curve is None else share(curve.area)),
    ]
    alone = int((~paired).sum())
    if alone:
        what = "is the only one of its group, and does" if alone == 1 else "are the only ones of their groups, and do"
        notes.append(f"{count(alone, 'row')} {what} not count in the shares of nearest rows.")
    charts = [doc.Group("charts", [_histogram(alike[above], same[above])])] if curve is not None else []
    return [doc.Facts(values), *(doc.Text(note, "note") for note in notes), *charts]


def _cosines(points: Array) -> Array:
    """Return the cosine of the angle between each two rows; no row is its own neighbour."""
    norms = np.linalg.norm(points, axis=1, keepdims=True)
    unit = points / np.where(norms == 0, 1, norms)
    alike = unit @ unit.T
    np.fill_diagonal(alike, -np.inf)
    return np.asarray(alike)


def _recall(alike: Array, same: Array, paired: Array, k: int) -> str:
    """Return the share of rows with another of their group that find one among their ``k`` nearest rows."""
    if not paired.any():
        return "not defined"
    k = min(k, len(alike) - 1)
    nearest = np.argpartition(-alike, k - 1, axis=1)[:, :k]
    return share(float(np.take_along_axis(same, nearest, 1)[paired].any(1).mean()))


def _histogram(alike: Array, same: Array) -> doc.Figure:
    """Return the chart of how alike pairs of one group and of two groups are."""
    groups = [("pairs of two groups", alike[~same]), ("pairs of one group", alike[same])]
    names = ("Cosine of two rows", "Share of the pairs", "Cosine of pairs of rows")
    across = linear([float(alike.min()), float(alike.max())])
    plot = halves(groups, across, _GROUP_BARS, names, ".2f", 0.0)
    below = doc.Legend([("line b", f"{groups[0][0]}, the left bar"), ("line a", f"{groups[1][0]}, the right bar")])
    return doc.Figure("How alike pairs of rows are", plot.drawing(), [below])


# A head whose answers are pictures: some of them beside what went in and what is true.
_ROWS = 5
_ROOM = 2_400  # characters of a picture
_SMALLEST = 8  # pixels of a side, from which on the values of a row are taken for a picture
_HEX = "1e293b 2563eb ea580c 16a34a db2777 ca8a04 0d9488 7c3aed 94a3b8 dc2626 84cc16 0891b2"
_COLOURS = np.frombuffer(bytes.fromhex(_HEX), np.uint8).reshape(-1, 3)  # of classes


def example_images(judged: Scored, head: HeadAnswers, flat: Flat, name_of: Callable[[int], str]) -> list[doc.Block]:
    """Return pictures of some rows, from the smallest to the largest loss; nothing if the head answers none."""
    shape, targets = head.answers.shape, head.targets
    if len(shape) != 4 or min(shape[1:3]) < _SMALLEST or targets is None or head.head.loss is None:
        return []
    if head.head.loss.class_axis(head.value) != 3 if flat.kind == "classes" else shape[3] not in (1, 3):
        return []
    losses = np.arange(shape[0], dtype=np.float64) if head.losses is None else np.nan_to_num(head.losses, nan=np.inf)
    order = np.argsort(losses, kind="stable")
    rows = []
    for k in order[evenly(len(order), _ROWS)].tolist():
        arrays = map(np.asarray, judged.inputs(k).values())
        inputs = [a for a in arrays if is_picture(a.shape) and a.dtype.kind in "fiub"]
        shown: list[doc.Inline] = [_image(pixels(inputs[0]), f"input of {name_of(k)}") if inputs else doc.UNDEFINED]
        target, answer = _both(head, targets, k, flat)
        shown += [_image(target, f"target of {name_of(k)}"), _image(answer, f"answer of {name_of(k)}")]
        loss = "" if head.losses is None else f", loss {amount(float(head.losses[k]))}"
        rows.append([name_of(k) + loss, *shown])
    caption = "Some rows" if head.losses is None else "Some rows, from the smallest to the largest loss"
    return [*_colours(flat), doc.Table(("Row", "Input", "True", "Answer"), rows, caption, kind="pictures")]


def _colours(flat: Flat) -> list[doc.Block]:
    if flat.kind != "classes":
        return []
    shown: list[doc.Inline] = ["Colours of the classes: "]
    for colours, label in zip(_COLOURS.tolist(), flat.labels, strict=False):
        colour = ",".join(map(str, colours))
        shown += [doc.Drawing(f'<span style="background: rgb({colour})"></span>'), label]
    return [doc.Text(tuple(shown), "note colours")]


def _both(head: HeadAnswers, targets: Array, k: int, flat: Flat) -> list[Array]:
    """Return the target and the answer of a row as pictures; classes have colours."""
    target, answer = targets[k], head.answers[k]
    if flat.kind == "classes":
        ids = target.argmax(-1) if target.shape == answer.shape else target.reshape(answer.shape[:2])
        both = (np.asarray(each, np.int64) % len(_COLOURS) for each in (ids, answer.argmax(-1)))
        return [np.ascontiguousarray(_COLOURS[each]) for each in both]
    if flat.probabilities and getattr(head.head.loss, "from_logits", False):
        answer = sigmoid(answer)
    values = [np.asarray(each, np.float64).reshape(answer.shape) for each in (target, answer)]
    is_share = flat.probabilities or flat.kind == "binary"
    return [pixels(np.clip(each, 0, 1) if is_share else each) for each in values]


def _image(image: Array, what: str) -> doc.Drawing:
    return doc.Drawing(f'<img src="{small_uri(image, _ROOM)}" alt="{text(what)}">', what)


# A head without targets: how its values are spread.
_VALUE_UNITS = 30


def values_head(flat: Flat) -> doc.Table:
    """Return the spread of the values of each unit."""
    values = flat.scores.reshape(-1, flat.scores.shape[-1] if flat.scores.ndim > 1 else 1).astype(np.float64)
    units = values.shape[1]
    rows = []
    for k in range(min(units, _VALUE_UNITS)):
        own = values[np.isfinite(values[:, k]), k]
        name = flat.labels[k] if len(flat.labels) == units else str(k)
        spread = [float(f(own)) if len(own) else float("nan") for f in (np.mean, np.std, np.min, np.median, np.max)]
        rows.append((name, *map(amount, spread), f"{len(values) - len(own):,}"))
    caption = "The head has no loss, so nothing says what is right; its values"
    caption += f", of the first {_VALUE_UNITS} of {units:,} units" if units > _VALUE_UNITS else ""
    return table(caption, ("Unit", "Mean", "Deviation", "Smallest", "Median", "Largest", "Not finite"), rows)


# What the values of predictions mean, in plain words, for readers who do not know them.
def terms(kinds: Collection[Kind]) -> list[doc.Block]:
    """Return the words of these kinds of heads with their meanings; nothing if they need none."""
    known = loads(files("graphspec.show.report").joinpath("terms.json").read_text(encoding="utf-8"))
    listed = {name: term["meaning"] for name, term in known.items() if not {*kinds}.isdisjoint(term["kinds"])}
    shown = [(doc.Span(name, "b"), f": {meaning}") for name, meaning in listed.items()]
    return [doc.Folded("What these values mean", [doc.Items(shown, "note")])] if shown else []


_WORDS: dict[Kind, str] = {
    "classes": "one of {} per {}",
    "binary": "{2} or {3} per {1}",
    "labels": "which of {} apply to a {}",
    "numbers": "{} per {}",
    "sequences": "a sequence of labels per row",
    "groups": "a place for each row, close to the rows of its group",
    "values": "values without targets",
}
_UNITS = {"classes": ("class", "classes"), "labels": ("label", "labels"), "numbers": ("number", "numbers")}


def heads(found: Findings) -> doc.Section | None:
    """Return what each head answers for the judged rows; None if there are none."""
    judged = found.judged
    if judged is None or not judged.heads:
        return None
    shown = [doc.Group("head", _head(found, judged, name, k)) for k, name in enumerate(judged.heads)]
    explained = terms({flatten(head).kind for head in judged.heads.values()})
    kept = len(judged.rows)
    part = f"{count(judged.total, judged.part + ' row')}"
    used = f"{'all ' if kept > 1 else ''}{part}" if kept == judged.total else f"{kept:,} of {part}, spread evenly"
    blocks = [doc.Text(f"From {used}.", "muted"), *shown, *explained]
    return doc.Section("heads", "Predictions", blocks, _finding(*judged.heads.values()))


def _finding(head: HeadAnswers, *others: HeadAnswers) -> str:
    """Return how good the answers of a single head are, in a few words."""
    flat = flatten(head)
    if others or not len(flat.scores) or flat.kind not in ("classes", "numbers"):
        return f"{1 + len(others)} heads" if others else ""
    if flat.kind == "numbers":
        r2 = determination(flat.true, flat.scores)
        return f"R² {amount(float(np.nanmean(r2)))}" if np.isfinite(r2).any() else ""
    return f"{int((flat.scores.argmax(-1) != flat.true).sum()):,} of {count(len(flat.true), flat.noun)} wrong"


def _head(found: Findings, judged: Scored, name: str, number: int) -> list[doc.Block]:
    head = judged.heads[name]
    flat = flatten(head)
    loss = "no loss" if head.head.loss is None else f"loss {head.head.loss.label}"
    parts: list[doc.Block] = [
        doc.Heading(name, id=f"head-{number}"),
        doc.Text(f"{_purpose(flat)}; {loss}.", "muted"),
        *(doc.Text(f"{note[:1].upper()}{note[1:]}.", "note") for note in flat.notes),
    ]
    if not len(flat.scores):
        return [*parts, doc.Text(f"No {flat.noun} is left to be judged.")]
    return [*parts, *_body(found, judged, name, head, flat, f"head-{number}")]


def _body(found: Findings, judged: Scored, name: str, head: HeadAnswers, flat: Flat, anchor: str) -> list[doc.Block]:
    place = places(found.model.spec, judged.part)

    def row_name(row: int) -> str:
        return place(judged.index(row))

    rules = found.baselines.get(name, ())
    match flat.kind:
        case "sequences":
            return sequences_head(head, row_name)
        case "groups":
            return groups_head(head)
        case "values":
            return [values_head(flat)]
        case "labels":
            return [*labels_head(flat), *_beside_rules(head, rules)]
        case "numbers":
            alike = is_series(found, judged, name)
            forecast = series(found, judged, name) if alike else []
            names = unit_names(source_of(found.model.spec, judged.part), name, flat.true.shape[1])
            blocks = [*forecast, *numbers_head(head, flat, rules, alike=alike, names=names)]
        case _:
            blocks = classes_head(flat, anchor) if flat.kind == "classes" else binary_head(head, flat, anchor)
            blocks += _beside_rules(head, rules)
    return [*blocks, *example_images(judged, head, flat, row_name)]


def _beside_rules(head: HeadAnswers, rules: Sequence[Baseline]) -> list[doc.Block]:
    metrics, scores = rule_scores(head, rules)
    if len(scores) < 2:
        return []
    rows = [(name[:1].upper() + name[1:], *map(amount, values)) for name, values in scores]
    return [table("Beside simple rules", ("Answer", *(metric.capitalize() for metric in metrics)), rows, sort=False)]


def _purpose(flat: Flat) -> str:
    units = flat.scores.shape[-1] if flat.scores.ndim > 1 else 1
    words = _UNITS.get(flat.kind, ("", ""))
    names = [f"'{label}'" for label in flat.labels[:2]] if flat.kind == "binary" else ["", ""]
    shown = _WORDS[flat.kind].format(count(units, *words), flat.noun, *names)
    return shown[:1].upper() + shown[1:]
