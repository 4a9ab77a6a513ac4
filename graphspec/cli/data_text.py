"""What data files hold, as documents for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from graphspec.base.document import Block, Column, Items, Table, Text
from graphspec.base.errors import shorten
from graphspec.base.text import count, few, percent
from graphspec.data.overview import Overview
from graphspec.data.profile import ArrayProfile, ColumnProfile, FileProfile

_NAME = 28  # characters of a column's name that are shown
_CLOSING = 8  # problems that are repeated at the end
_VALUES = 28  # columns; narrower values go on a line of their own


def overview(found: Sequence[Overview]) -> Iterator[Block]:
    """Yield what all parts hold, with an empty line between them.

    Problems come again if the tables of later parts follow them: the end of a long answer shows what is wrong.
    """
    yield from [block for part in found for block in (Text(""), *_shown(part))][1:]
    if any(part.problems for part in found[:-1]):
        total = sum(len(part.problems) for part in found)
        yield from (Text(""), Text(f"{count(total, 'problem')} in all"))
        yield Items([f"{part.name}: {text}" for part in found for text in part.problems][:_CLOSING])
        if total > _CLOSING:
            yield Text(f"  … and {total - _CLOSING:,} more, above")


def _shown(part: Overview) -> Iterator[Block]:
    if part.share is not None:
        yield Text(", ".join([f"{part.name}: {part.share * 100:g} % of the training rows", *part.notes]))
        return
    rows = "" if part.rows is None else f", {count(part.rows, 'row')}"
    yield Text(f"{part.name}: {part.source}{rows}")
    yield from (Text(f"  {note}") for note in part.notes)
    for title in ("column", "target", "input"):
        used = [(name, use) for name, uses in part.uses.items() for use in uses if use.section == title]
        if used:
            yield Text("")
            numbers = [Column("missing", "number"), Column("distinct", "number")]
            columns = [Column(title, cut="end"), Column("type"), *numbers, Column("values", wrap=True, least=_VALUES)]
            labels = [" → ".join(shorten(n, _NAME) for n in dict.fromkeys((name, use.name))) for name, use in used]
            cells = [_cells(label, part.columns.get(name)) for label, (name, _) in zip(labels, used, strict=True)]
            yield Table(columns, cells)
    if part.learnt:
        yield from (Text(""), Text("would be learnt" + (" (less the validation rows)" if part.name == "train" else "")))
        learnt = [(shorten(name, _NAME), "; ".join(texts)) for name, texts in part.learnt.items()]
        yield Table([Column(cut="end"), Column(wrap=True, least=_VALUES)], learnt, indent=2)
    if part.unused:
        yield from (Text(""), Text(f"not used: {', '.join(part.unused)}"))
    for kind, texts in (("hint", part.hints), ("problem", part.problems)):
        if texts:
            yield Text("")
        yield from (Text(f"{kind}: {text}") for text in texts)


def _cells(name: str, found: ColumnProfile | ArrayProfile | FileProfile | None) -> tuple[str, ...]:
    if found is None:
        return (name, "", "", "", "")
    if isinstance(found, FileProfile):
        return (name, found.kind, "0", "", _files(found))
    if isinstance(found, ArrayProfile):
        shape = str(found.shape)
        values = _shares(found.frequent, sum(n for _, n in found.frequent))
        if found.low is not None and len(found.frequent) != 1 and (not values or len(found.frequent) > 20):
            values = f"{found.low:.6g} … {found.high:.6g}"
        distinct = f"{len(found.frequent):,}" if found.frequent else ""
        return (name, found.dtype, f"{found.missing:,}", distinct, f"{shape} {values}".strip())
    about, kind = "" if found.exact else "about ", str(found.kind)
    if found.kind == "list" and found.lengths is not None:  # whose values are not counted
        kind = f"list of {'–'.join(map(str, dict.fromkeys(found.lengths)))}"
        return (name, kind, f"{found.absent:,}", "", "")
    return (name, kind, f"{found.absent:,}", f"{about}{found.distinct:,}", _values(found))


def _files(found: FileProfile) -> str:
    """Return the sizes of pictures, or the words of texts."""
    about = "" if found.is_exact else "about "
    if found.words is not None:
        mean, longest = found.words
        return f"{about}{mean:.0f} words on average, at most {about}{longest:,}"
    if not found.sizes:
        return ""
    if len(found.sizes) == 1:
        return "{} × {}".format(*found.sizes[0][0])
    high, wide = zip(*(size for size, _ in found.sizes), strict=True)
    return f"{about}{len(found.sizes):,} sizes, {min(high)} to {max(high)} high, {min(wide)} to {max(wide)} wide"


def _values(found: ColumnProfile) -> str:
    """Return a range, or the most frequent values with their shares."""
    parts = []
    numbers = found.numbers
    if found.kind == "date" and found.dates is not None:
        form = max(found.date_formats, key=lambda form: found.date_formats[form])
        first, last = (date.removesuffix(" 00:00:00") for date in found.dates)
        parts.append(f"{first} … {last}" + ("" if form == "ISO" else f" ({form})"))
    elif found.is_number and numbers is not None and found.distinct > 2:
        parts.append(f"{numbers.low:.6g} … {numbers.high:.6g}, median {numbers.median:.6g}")
    elif found.words is not None and found.words.mean >= 3:
        parts.append(f"{found.words.mean:.0f} words on average, at most {found.words.longest:,}")
    elif found.frequent and found.present:
        parts.append(_shares(found.frequent, found.present))
    parts += [f"{text} {count(rows, 'row')}" for text, rows in found.missing_texts.items()]
    return "; ".join(parts)


def _shares(frequent: Sequence[tuple[str, int]], total: int) -> str:
    return few([f"{shorten(' '.join(value.split()), 24)} {percent(n / total)}" for value, n in frequent], 8)
