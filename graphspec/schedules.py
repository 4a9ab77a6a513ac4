"""Learning-rate schedules."""

from __future__ import annotations

from graphspec.config import Config, Registry


class Schedule(Config):
    """Base of the schedules: the learning rate as a function of the step."""

    def __call__(self, step: int) -> float:
        raise NotImplementedError


SCHEDULES: Registry[Schedule] = Registry("schedule")
