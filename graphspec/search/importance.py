"""How much each setting matters, by Optuna: how far the values of the best trials differ from those of all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from graphspec.language.search_space import Search
from graphspec.search.study import Trial, distribution, optuna

FEWEST = 10
"""Trials below which nothing is said about a setting."""
METHOD = (
    "By PED-ANOVA of Optuna (Watanabe and others, 2023): how far the values of a setting among the best tenth of the trials "
    "differ from its values in all. All settings together are 100 %. It sees each setting alone, not what two do together."
)


@dataclass(frozen=True)
class Importance:
    """The importance of a space: from 0 to 1, over a number of trials."""

    name: str
    share: float
    trials: int


def importances(search: Search, trials: Sequence[Trial]) -> list[Importance]:
    """Return the importance of each space that enough trials have, the largest first."""
    judged = [t for t in trials if t.judged]
    having = {s.name: sum(s.name in t.params for t in judged) for s in search.spaces()}
    names = [name for name, count in having.items() if count >= FEWEST and _varies(name, judged)]
    if not names or len({t.value for t in judged}) < 2:
        return []
    module, spaces = optuna(), {s.name: distribution(s) for s in search.spaces()}
    study = module.create_study()
    for trial in judged:
        known = {name: spaces[name] for name in trial.params}
        study.add_trial(module.trial.create_trial(params=trial.params, distributions=known, value=trial.value))
    shares = module.importance.get_param_importances(study, params=names)
    return sorted((Importance(n, share, having[n]) for n, share in shares.items()), key=lambda each: -each.share)


def _varies(name: str, trials: Sequence[Trial]) -> bool:
    return len({t.params[name] for t in trials if name in t.params}) > 1
