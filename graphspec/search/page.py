"""The page of a search, ``search.html``: the best trials, the objective over the trials, settings, and all trials."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from graphspec.base import document as doc
from graphspec.base.files import write_atomic
from graphspec.base.text import count, shell, shorten_end
from graphspec.language.search_space import Choice, Space
from graphspec.search.study import FEWEST, METHOD, Plan, Trial, importances, ranked, states_of
from graphspec.show.drawing.curves import Scale, for_values, linear, logarithmic
from graphspec.show.html import Opening, page, text, wide
from graphspec.show.report.charts import Plot, amount
from graphspec.show.report.comparison import REPORT

PAGE = "search.html"
_ROWS = 500  # trials that the page lists, and draws as lines: the best ones
_LINES = 200
_AXES = 12
_WIDE, _HIGH, _TOP, _SIDE = 130.0, 220.0, 56.0, 70.0  # pixels: between two axes, of an axis, around them


def write_page(plan: Plan, trials: Sequence[Trial], again: Sequence[str]) -> Path:
    """Write the page into the search's folder, with the command that trains the best trial ``again``; return its path."""
    path = plan.folder / PAGE
    write_atomic(path, search_html(plan, trials, again))
    return path


def search_html(plan: Plan, trials: Sequence[Trial], again: Sequence[str]) -> str:
    """Return the page of a search."""
    best = ranked(trials, plan.goal)
    s = plan.search
    goal = "largest" if plan.goal == "max" else "smallest"
    lead = f"{count(len(trials), 'trial')} of {s.sampler}, for the {goal} {s.metric}; seed {plan.seed}"
    pruning = "" if s.prune == "none" else f"Trials that are worse than others at the same epoch end early ({s.prune})."
    sections = [_headline(plan, trials, best, again)]
    if best:
        sections += [_history(plan, trials, best), _settings(plan, trials, best)]
    sections.append(_table(plan, trials, best))
    return page(Opening(plan.name, "search", (lead, pruning)), sections)


def _headline(plan: Plan, trials: Sequence[Trial], best: Sequence[Trial], again: Sequence[str]) -> doc.Section:
    shown = [(state, str(n)) for state, n in states_of(trials)]
    if not best:
        return doc.Section("best", "Best trial", [doc.Text("No trial was trained to its end."), doc.Facts(shown)])
    top = best[0]
    head = [("best " + plan.search.metric, amount(top.value or 0.0)), ("trial", str(top.number)), *shown]
    sets = doc.Items([doc.Span(change, "code") for change in top.sets])
    command = doc.Code(shell(*again), label="Command")
    return doc.Section("best", "Best trial", [doc.Facts(head), sets, doc.Text("Train it again:"), command])


def _history(plan: Plan, trials: Sequence[Trial], best: Sequence[Trial]) -> doc.Section:
    ended = [t for t in trials if t.value is not None]
    up = for_values(_inner([t.value or 0.0 for t in ended], [t.value or 0.0 for t in best]))
    across = linear([0.0, float(max(t.number for t in trials))])
    name, top = plan.search.metric, best[0]
    summary = f"{name} of {count(len(ended), 'trial')}; the best is {amount(top.value or 0.0)}, of trial {top.number}."
    plot = Plot(across, up, "trial", name, summary, width=680.0)
    sign = -1 if plan.goal == "max" else 1
    steps: list[tuple[float, float]] = []
    for trial in sorted(best, key=lambda t: t.number):
        value, before = trial.value or 0.0, [y for _, y in steps[-1:]]
        if not before or sign * value < sign * before[0]:
            steps += [(trial.number, y) for y in (*before, value)]
    steps.append((max(t.number for t in trials), steps[-1][1]))
    plot.line([(x, _clipped(y, up)) for x, y in steps], "b")
    for kind, state in (("soft", "pruned"), ("a", "complete")):
        dots = [t for t in ended if t.state == state]
        points = [(t.number, _clipped(t.value or 0.0, up)) for t in dots]
        if len(dots) > _ROWS:
            plot.many(points)
        else:
            plot.dots(points, [_tip(t) for t in dots], kind)
    keys = [("line a", "trials"), ("line b", "the best so far")]
    keys += [("line soft", "pruned: the value at which they ended")] if any(t.state == "pruned" for t in ended) else []
    said = [doc.Text(noise, "verdict")] if (noise := _noise(best)) else []
    if top.between is not None:
        low, high = (_clipped(end, up) for end in top.between)
        plot.band("", [(across.low, low), (across.high, low)], [(across.low, high), (across.high, high)])
        keys.append(("line band", "the 95 % interval of the best trial"))
    figure = doc.Figure("The objective of each trial", plot.drawing(), [doc.Legend(keys)])
    return doc.Section("history", "Objective", [*said, figure])


def _noise(best: Sequence[Trial]) -> str:
    """Return whether the best trial is better than others by more than other rows would change; nothing if unknown."""
    if len(best) < 2 or best[0].between is None:
        return ""
    low, high = best[0].between
    alike = sum(low <= (trial.value or 0.0) <= high for trial in best[1:])
    said = f"With other validation rows, the value of the best trial may be from {amount(low)} to {amount(high)}: "
    within = f"{'is' if alike == 1 else 'are'} within, and may be as good" if alike else "is as good"
    return f"{said}{alike or 'none'} of the {count(len(best) - 1, 'other trial')} {within}."


def _inner(values: Sequence[float], complete: Sequence[float]) -> list[float]:
    """Return the values that a chart shows: all but a few that are far from the others, which stand at its edge."""
    order = sorted(complete)
    low, high = order[0], order[min(len(order) - 1, int(len(order) * 0.9))]
    room = 3 * (high - low) or abs(high) or 1.0
    return [v for v in values if low - room <= v <= high + room] or [low]


def _clipped(value: float, scale: Scale) -> float:
    return min(max(value, scale.low), scale.high)


def _tip(trial: Trial) -> str:
    shown = "no value" if trial.value is None else amount(trial.value)
    return "\n".join((f"trial {trial.number}: {shown} {'' if trial.judged else trial.state}".strip(), *trial.sets))


# Settings: parallel coordinates and importance.
def _settings(plan: Plan, trials: Sequence[Trial], best: Sequence[Trial]) -> doc.Section:
    spaces = [s for s in plan.search.spaces() if any(s.name in t.params for t in best)]
    weights = importances(plan.search, trials)
    order = {each.name: k for k, each in enumerate(weights)}
    kept = {s.name for s in sorted(spaces, key=lambda s: order.get(s.name, 999))[:_AXES]}
    spaces = [s for s in spaces if s.name in kept]
    lead = "Each line is a trial; the best tenth is green. A trial that lacks a setting passes below its axis."
    drawn = doc.Element(wide(_parallel(plan, spaces, best[:_LINES]), "Settings and objective of the trials"))
    columns = [doc.Column("setting"), doc.Column("importance", "barcell", fixed=True)]
    columns += [doc.Column("share", "number"), doc.Column("trials", "number")]
    rows = [(each.name, doc.Bar(each.share), f"{each.share:.0%}", str(each.trials)) for each in weights]
    below: list[doc.Block] = [doc.Text(METHOD), doc.Table(columns, rows, "Importance of settings", kind="importance")]
    if not rows:
        below = [doc.Text(f"The importance of a setting needs {FEWEST} trials that were trained to their end.")]
    return doc.Section("settings", "Settings", [doc.Text(lead), drawn, *below])


def _parallel(plan: Plan, spaces: Sequence[Space], trials: Sequence[Trial]) -> str:
    metric, values = plan.search.metric, [t.value or 0.0 for t in trials]
    scale = for_values(_inner(values, values))
    wide_, high = _WIDE * len(spaces) + 2 * _SIDE, _TOP + _HIGH + 40
    summary = f"Settings and {metric} of the {len(trials)} best trials, as lines across one axis per setting."
    size = f'viewBox="0 0 {wide_:.0f} {high:.0f}" style="min-width: {wide_ * 0.8:.0f}px; max-width: {wide_:.0f}px"'
    parts = [f'<svg class="chart" {size} role="img" aria-label="{text(summary)}">']
    parts.append(f'<g transform="translate({_SIDE:.0f} {_TOP:.0f})">')
    scales = [_axis(space) for space in spaces]
    best = max(1, len(trials) // 10)
    for k in reversed(range(len(trials))):
        points = []
        for place, (space, axis) in enumerate(zip(spaces, scales, strict=True)):
            value = trials[k].params.get(space.name)
            y = _HIGH + 22 if value is None else (1 - axis.position(value)) * _HIGH
            points.append(f"{place * _WIDE:.0f},{y:.1f}")
        y = (1 - scale.position(_clipped(values[k], scale))) * _HIGH
        points.append(f"{len(spaces) * _WIDE:.0f},{y:.1f}")
        kind = "good" if k < best else "soft"
        parts.append(f'<polyline class="line {kind}" points="{" ".join(points)}" data-tip="{text(_tip(trials[k]))}"/>')
    for k, (space, axis) in enumerate(zip(spaces, scales, strict=True)):
        labels = [item.label for item in space.items] if isinstance(space, Choice) else axis.labels()
        parts += _drawn_axis(k, space.name, axis, labels, end=False)
    parts += _drawn_axis(len(spaces), plan.search.metric, scale, scale.labels(), end=True)
    return "".join([*parts, "</g></svg>"])


def _axis(space: Space) -> Scale:
    if isinstance(space, Choice):
        return Scale(0.0, max(len(space.items) - 1.0, 1.0), tuple(float(k) for k in range(len(space.items))))
    made = logarithmic([space.low, space.high]) if space.log else linear([space.low, space.high], count=4)
    ticks = [t for t in made.ticks if space.low < t < space.high]
    if space.log:
        ticks = [t for t in ticks if math.isclose(math.log10(t), round(math.log10(t)))]
    scale = Scale(space.low, space.high, (), space.log)
    inside = [t for t in ticks if 0.08 < scale.position(t) < 0.92]
    return Scale(space.low, space.high, (space.low, *inside[:6], space.high), space.log)


def _drawn_axis(k: int, name: str, axis: Scale, labels: Sequence[str], *, end: bool) -> list[str]:
    """Return an axis with its name and its ticks, which stay readable above the lines."""
    x, halo = k * _WIDE, 'style="paint-order: stroke; stroke: var(--paper); stroke-width: 3px"'
    title = name if len(name) <= 34 else f"…{name[-33:]}"
    at, anchor = (2 - _SIDE, "start") if k == 0 else (x, "middle")
    parts = [f'<line class="axis" x1="{x:.0f}" x2="{x:.0f}" y1="0" y2="{_HIGH:.0f}"/>']
    above = -18 if k % 2 else -36
    parts.append(f'<text class="name" x="{at:.0f}" y="{above}" text-anchor="{anchor}">{text(title)}</text>')
    side, anchor = (7, "start") if end else (-7, "end")
    for tick, label in zip(axis.ticks, labels, strict=True):
        y = (1 - axis.position(tick)) * _HIGH + 4
        shown = text(shorten_end(label, 14))
        parts.append(f'<text x="{x + side:.0f}" y="{y:.1f}" text-anchor="{anchor}" {halo}>{shown}</text>')
    return parts


# All trials.
def _table(plan: Plan, trials: Sequence[Trial], best: Sequence[Trial]) -> doc.Section:
    shown = sorted([*best, *[t for t in trials if not t.judged]][:_ROWS], key=lambda t: t.number)
    columns = [doc.Column("trial"), doc.Column(plan.search.metric, "number"), doc.Column("state")]
    columns.append(doc.Column("settings", fixed=True))
    table = doc.Table(columns, [_row(plan, trial) for trial in shown], "All trials", sort=True)
    hidden = len(trials) - len(shown)
    note = [doc.Text(f"{count(hidden, 'trial')} not shown.", "note")] if hidden else []
    lead = doc.Text("A trial is a run directory; the number leads to its report.")
    return doc.Section("trials", "Trials", [lead, table, *note])


def _row(plan: Plan, trial: Trial) -> list[doc.Inline | doc.Cell]:
    has_report = (plan.folder / trial.name / REPORT).is_file()
    link = doc.Span(str(trial.number), link=f"{trial.name}/{REPORT}") if has_report else str(trial.number)
    value = doc.Cell(doc.UNDEFINED) if trial.value is None else doc.Cell(amount(trial.value), repr(trial.value))
    state = f"{trial.state} after {count(len(trial.values), 'epoch')}" if trial.state == "pruned" else trial.state
    about: doc.Inline = (shorten_end(trial.problem, 300), doc.BREAK) if trial.problem else ""
    sets = shorten_end("; ".join(trial.sets), 400)
    return [doc.Cell(link, str(trial.number)), value, state, (about, sets)]
