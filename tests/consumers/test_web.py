"""A page with ``onnxruntime-web`` in headless Chromium."""

from __future__ import annotations

from pathlib import Path

import pytest
from consumers.apps import (
    FIXTURES,
    HERE,
    browser,
    check_finds_nothing,
    check_finds_what_is_wrong,
    node_with,
    run,
    wrong_fixtures,
)

RUN = HERE / "web" / "run.mjs"


@pytest.fixture
def node() -> str:
    return node_with("onnxruntime-web")


@pytest.fixture
def chromium() -> str:
    return browser()


@pytest.mark.slow
def test_every_record_has_its_answer(node: str, chromium: str) -> None:
    check_finds_nothing(run(node, RUN, FIXTURES, chromium))


@pytest.mark.slow
def test_wrong_answers_are_found(node: str, chromium: str, tmp_path: Path) -> None:
    check_finds_what_is_wrong(run(node, RUN, wrong_fixtures(tmp_path), chromium))


def test_a_browser_that_does_not_start_is_said(node: str, tmp_path: Path) -> None:
    done = run(node, RUN, FIXTURES, tmp_path / "nothing")
    assert done.returncode == 1
    assert "nothing does not start: " in done.stdout
