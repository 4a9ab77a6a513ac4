"""The data: parts, classes, and for every field its gaps, its distribution, and its drift from training to judged rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from graphspec.base.text import count, percent, shorten_end
from graphspec.data.targets import with_class_ids
from graphspec.engine.training.run_directory import data_hashes
from graphspec.engine.training.target_summary import ClassShares, LabelSequences, Summary, summarize
from graphspec.show.report.column_facts import TOP, Facts, facts
from graphspec.show.report.drift import LARGE, MODERATE, word
from graphspec.show.report.fields import fields
from graphspec.show.report.page import Section, text, wide
from graphspec.show.report.parts import MAX_ROWS, Parts, read_parts, repeated
from graphspec.show.report.places import shown_part, source_name
from graphspec.show.report.raw import compact
from graphspec.show.report.sparks import histogram

if TYPE_CHECKING:
    from graphspec.data.batches import Dataset
    from graphspec.show.report.findings import Findings

_FIELDS = 80
_WITH_TIPS = 24  # fields, up to which every bin of a histogram tells its share
_CLASSES = 30
_NAME = 60  # characters of a name or a value


def columns(found: Findings) -> Section | None:
    """Return what the parts of the data hold."""
    if not found.model.spec.data and found.judged is None:
        return None
    parts = read_parts(found)
    if not parts.rows:
        reasons = "".join(f"<li>{text(part)}: {text(why)}</li>" for part, why in parts.problems.items())
        return Section("data", "Data", f"<p>The data cannot be read any more:</p><ul>{reasons}</ul>")
    body = _parts(found, parts) + _repeats(found, parts.rows) + _heads(found, parts.rows)
    return Section("data", "Data", body + _fields(found, parts.rows))


def _parts(found: Findings, parts: Parts) -> str:
    """Return a table of the parts: rows, and where they come from."""
    known = found.record.get("data_sha256")
    known = known if isinstance(known, dict) else {}
    now = data_hashes(found.model) if known else {}
    lines: list[tuple[str, ...]] = []
    for part in dict.fromkeys([*parts.rows, *parts.problems]):
        source = found.model.spec.data.get(part)
        name = source_name(found.model.spec, part)
        if source is not None and not source.has_rows:
            last = (
                "the last part of the time" if source.by_time else "the last rows" if source.in_order else "split off"
            )
            name = f"{last}: {percent(source.split or 0)} of the training data"
        note = f"cannot be read: {text(parts.problems[part])}" if part in parts.problems else ""
        if part in known and now.get(part, known[part]) != known[part]:
            note = "<b>changed since the training</b>"
        lines.append(
            (text(shown_part(part)), f"{len(parts.rows[part]):,}" if part in parts.rows else "unknown", name, note)
        )
    noted = any(note for *_, note in lines)
    rows = "".join(
        f"<tr><th scope=row>{part}</th><td class=number>{size}</td><td>{name}</td>{f'<td>{note}</td>' if noted else ''}</tr>"
        for part, size, name, note in lines
    )
    head = "<th scope=col>Part</th><th scope=col class=number>Rows</th><th scope=col>From</th>"
    head += "<th scope=col>Notes</th>" if noted else ""
    return wide(f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>", "Parts of the data")


def _repeats(found: Findings, parts: Mapping[str, Dataset]) -> str:
    """Return a sentence about judged rows that occur among the training rows, too."""
    judged = found.judged
    if judged is None or judged.part == "train" or "train" not in parts:
        return ""
    same = repeated(parts["train"], judged.raw)
    if same is None:
        return ""
    if not same:
        return f"<p>No {judged.part} row has the same inputs as a training row.</p>"
    share = percent(same / max(judged.total, 1))
    serious = same > 0.01 * judged.total
    about = "their results say little about new rows" if serious else "few enough to change little"
    has = "has" if same == 1 else "have"
    words = f"{count(same, f'{judged.part} row')} ({share}) {has} the same inputs as a training row: {about}."
    return f"<p{' class=alarm' if serious else ''}>{words}</p>"


def _heads(found: Findings, parts: Mapping[str, Dataset]) -> str:
    """Return what the targets of each head are, by part."""
    model, html = found.model, ""
    ids = {
        part: with_class_ids(data, model.labels, model.needed.targets, model.needed.ctc)
        for part, data in parts.items()
        if len(data)
    }
    for name, head in model.spec.heads.items():
        found_in = {
            part: summary
            for part, data in ids.items()
            if (summary := summarize(head, model.graph.outputs[name], data)) is not None
        }
        if found_in:
            title = f"Target {name}" if len(model.spec.heads) > 1 else "Target"
            html += f"<h3>{text(title)}</h3>{_target(found_in, title)}"
    return html


def _target(found: Mapping[str, Summary], title: str) -> str:
    shares = {part: s for part, s in found.items() if isinstance(s, ClassShares)}
    if len(shares) == len(found):
        return _classes(shares, title)
    rows = ""
    for part, summary in found.items():
        if isinstance(summary, ClassShares):  # 0 and 1 alone occur in this part
            cells = f"<td>{', '.join(text(label) for label in summary.labels[:TOP])}</td>"
        elif isinstance(summary, LabelSequences):
            cells = f"<td>sequences of at most {summary.longest:,} of {count(summary.classes, 'label')}</td>"
        else:
            cells = "".join(
                f"<td class=number>{compact(v)}</td>"
                for v in (summary.mean, summary.deviation, summary.low, summary.high)
            )
        rows += f"<tr><th scope=row>{shown_part(part)}</th>{cells}</tr>"
    named = ("Mean", "Standard deviation", "Lowest", "Highest")
    numbers = any(not isinstance(s, ClassShares | LabelSequences) for s in found.values())
    head = "".join(f"<th scope=col class=number>{n}</th>" for n in named) if numbers else "<th scope=col>Labels</th>"
    table = f"<table><thead><tr><th scope=col>Part</th>{head}</tr></thead><tbody>{rows}</tbody></table>"
    return wide(table, f"{title}: numbers by part")


def _classes(found: Mapping[str, ClassShares], title: str) -> str:
    """Return the share of each class in each part, as bars."""
    first = next(iter(found.values()))
    size = len(first.labels)
    alike = {part: s for part, s in found.items() if len(s.counts) == size}
    order = sorted(range(size), key=lambda k: -int(first.counts[k]))[:_CLASSES]
    top = max((s.share(k) for s in alike.values() for k in order), default=0) or 1.0
    head = "".join(f"<th scope=col colspan=2>{shown_part(part).capitalize()}</th>" for part in alike)
    rows = ""
    for k in order:
        cells = ""
        for part, summary in alike.items():
            share = summary.share(k)
            bar = f'<span class="sharebar {_kind(part, alike)}" style="width: {share / top * 100:.3g}%"></span>'
            cells += f"<td class=number>{int(summary.counts[k]):,}</td><td class=barcell>{bar}{percent(share)}</td>"
        rows += f"<tr><th scope=row>{_name(first.labels[k]) or '(empty)'}</th>{cells}</tr>"
    more = f"<p class=note>{count(size - len(order), 'more class', 'more classes')}.</p>" if size > len(order) else ""
    several = "<p class=note>Several classes may apply to a row.</p>" if first.several else ""
    table = f"<table><thead><tr><th scope=col>Class</th>{head}</tr></thead><tbody>{rows}</tbody></table>"
    return wide(table, f"{title}: classes by part") + more + several + _absent(alike)


def _absent(found: Mapping[str, ClassShares]) -> str:
    """Return a sentence about classes without training rows."""
    train = found.get("train")
    if train is None:
        return ""
    missing = [k for k in range(len(train.counts)) if not train.counts[k] and any(s.counts[k] for s in found.values())]
    names = ", ".join(_name(train.labels[k]) for k in missing[:TOP])
    return f"<p class=alarm>No training row has the class {names}.</p>" if missing and train.exact else ""


def _kind(part: str, parts: Mapping[str, object]) -> str:
    return "a" if part == next(iter(parts)) else "b"


def _fields(found: Findings, parts: Mapping[str, Dataset]) -> str:
    """Return the table of the fields."""
    judged = found.judged.part if found.judged is not None else next(iter(parts))
    compared = [part for part in dict.fromkeys(("train", judged)) if part in parts and len(parts[part])]
    described = fields(found.model.spec)
    if not compared or not described:
        return ""
    shown = facts(found.model.spec, described[:_FIELDS], {part: parts[part] for part in compared})
    two = len(compared) > 1
    head = "<th scope=col>Name</th><th scope=col>Kind</th>"
    head += "".join(f"<th scope=col class=number>{name}</th>" for name in ("Missing", "Different"))
    head += "".join(f"<th scope=col data-fixed>{name}</th>" for name in ("Distribution", "Values"))
    head += "<th scope=col>Drift</th>" if two else ""
    rows = "".join(_row(each, compared, tips=len(shown) <= _WITH_TIPS) for each in shown)
    table = f'<table data-sort class="fields"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
    more = len(described) - len(shown)
    note = f'<p class="note">{count(more, "more field")} not shown.</p>' if more else ""
    return f"<h3>Inputs</h3>{_about(compared, parts)}{wide(table, 'Inputs')}{note}"


def _about(compared: Sequence[str], parts: Mapping[str, Dataset]) -> str:
    key = f'<span class="key a"></span> {shown_part(compared[0])}'
    words = ""
    if len(compared) > 1:
        key += f', <span class="key line b"></span> {shown_part(compared[1])}'
        words = (
            f"Drift is how far the {shown_part(compared[1])} rows differ from the {shown_part(compared[0])} rows, as the "
            f"population stability index: below {MODERATE:g} it is "
            f"small, from {LARGE:g} on large; “none” is no more than chance gives with as many rows."
        )
    few = [shown_part(part) for part in compared if len(parts[part]) > MAX_ROWS]
    some = f" Of the {' and '.join(few)} rows, {MAX_ROWS:,} are looked at, spread evenly." if few else ""
    return f'<p class="note">{key}. {words}{some}</p>'


def _row(each: Facts, compared: Sequence[str], *, tips: bool) -> str:
    own = each.samples[compared[0]]
    missing = " · ".join(_missing(sample.missing, sample.size) for sample in each.samples.values())
    if not any(sample.missing for sample in each.samples.values()):
        missing = "0"
    kinds = [("a", each.shares[compared[0]]), *(("b", each.shares[part]) for part in compared[1:])]
    names = [
        f"{shorten_end(name, _NAME)}\n"
        + "\n".join(f"{shown_part(part)} {percent(float(each.shares[part][k]))}" for part in compared)
        for k, name in enumerate(each.bins)
    ]
    summary = f"distribution of {shorten_end(each.field.name, _NAME)}: {_plain_about(each)}"
    bars = histogram(kinds, names, summary, each=tips) if names else ""
    drift = _drift(each) if len(compared) > 1 else ""
    return (
        f"<tr><th scope=row>{_name(each.field.name)}</th><td>{each.kind}</td>"
        f'<td class=number data-value="{own.missing / max(own.size, 1):.6g}">{missing}</td>'
        f"<td class=number>{'' if each.kind in ('picture', 'text') else f'{each.distinct:,}'}</td><td>{bars}</td>"
        f"<td>{text(_plain_about(each))}{_unseen(each)}</td>{drift}</tr>"
    )


def _missing(missing: int, size: int) -> str:
    return f"{missing:,} ({percent(missing / max(size, 1))})"


def _plain_about(each: Facts) -> str:
    """Return range or most frequent values, as plain text."""
    if each.about:
        return each.about
    shares = next(iter(each.shares.values()))
    order = np.argsort(-shares, kind="stable")[:TOP].tolist()
    names = [
        f"{shorten_end(each.bins[k], 24) or '(empty)'} ({percent(float(shares[k]))})".replace(" %", "\u00a0%")
        for k in order
        if shares[k] > 0
    ]
    return ", ".join(names) or "no values"


def _unseen(each: Facts) -> str:
    if not each.unseen:
        return ""
    names = ", ".join(f"{_name(value)} ({rows:,})" for value, rows in each.unseen[:4])
    more = f" and {len(each.unseen) - 4:,} more" if len(each.unseen) > 4 else ""
    return f'<div class="unseen">not in training: {names}{more}</div>'


def _drift(each: Facts) -> str:
    if each.index is None:
        return "<td></td>"
    size = word(each.index, each.chance)
    tip = f"population stability index {each.index:.3f}; chance alone gives up to {each.chance:.3f}"
    return (
        f'<td data-value="{each.index:.6g}"><span class="drift {size}" data-tip="{tip}">{size}</span> '
        f'<span class="share">{each.index:.2f}</span></td>'
    )


def _name(value: str) -> str:
    return text(shorten_end(value, _NAME))
