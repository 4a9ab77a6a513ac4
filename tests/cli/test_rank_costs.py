"""`graphspec summary --ranks`: what a step would take on several machines."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import SPEC, graphspec, project

WIDE = SPEC.replace("units: 8", "units: 100000")
"""500,000 weights and biases of the first layer, 100,001 of the answer; 500,000 products forward for each of 16 rows."""


@pytest.fixture(autouse=True)
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    return project(tmp_path, WIDE).relative_to(tmp_path)


def test_an_estimate(spec: Path) -> None:
    """3 x 8 million multiply-adds of 2 operations at 1 GFLOP/s: 48 ms. 8 x 600,001 bytes: half of it at 1 GB/s, 2.4 ms."""
    result = graphspec("summary", spec, "--ranks", 4, "--network", "8Gb,3ms", "--gflops", 1)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("tiny: Whether two numbers")
    _, _, costs = result.stdout.partition("a step of ")
    assert " ".join(costs.split()) == (
        "16 rows on several machines, each one rank: 48 ms of computing, estimated by 3 x 8,000,000 multiply-adds of 2 "
        "operations at 1 GFLOP/s (--measure measures it) "
        "network: 600,001 trainable parameters, 4 bytes each, sent twice; 8 Gbit/s, 3 ms per message "
        "ranks step computing communication share speed-up "
        "1 48 ms 48 ms 0 µs 0 % 1.00 "
        "2 32.4 ms 24 ms 8.42 ms 26 % 1.48 "
        "4 24.7 ms 12 ms 12.7 ms 51 % 1.95 "
        "4 ranks are fastest: 24.7 ms a step, 1.95 times as fast as one; from 5 ranks on, more ranks are slower"
    )
    assert all(len(line) <= 80 for line in costs.splitlines())


def test_json(spec: Path) -> None:
    result = graphspec("summary", spec, "--ranks", 3, "--network", "8Gb,0.1ms", "--step-time", 60, "--json")
    document = json.loads(result.stdout)
    assert [step["ranks"] for step in document["steps"]] == [1, 2, 3]
    assert document["steps"][2]["communication_seconds"] == pytest.approx(3 * 1e-4 + 4e-5 + 8 * 600_001 * 2 / 3 / 1e9)
    assert document["steps"][1]["speed_up"] == pytest.approx(60 / (30 + 0.2 + 0.02 + 2.400004))
    assert (document["compute_source"], document["compute_seconds"]) == ("given", 0.06)
    assert (document["trainable_parameters"], document["batch_size"]) == (600_001, 16)


def test_a_measured_step(spec: Path) -> None:
    spec.write_text(SPEC)
    options = ("--ranks", 4, "--network", "1Gb,1ms", "--measure")
    result = graphspec("summary", spec, *options)
    assert (result.exit_code, result.stderr) == (0, "")
    assert "measured here on one core" in " ".join(result.stdout.split())
    assert result.stdout.endswith(
        "one rank is fastest: with more, the network takes longer than the computing that\n  it saves\n"
    )
    document = json.loads(graphspec("summary", spec, *options, "--json").stdout)
    assert document["compute_source"] == "measured"
    assert document["trainable_parameters"] == 49
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ("--ranks 4", "--ranks needs --network, such as `--network 10Gb`"),
        ("--network 10Gb", "--network needs --ranks N"),
        ("--measure", "--measure needs --ranks N"),
        ("--json", "--json needs --ranks N"),
        ("--ranks 4 --network fast", "--network: write a bandwidth, and a latency if you know it, such as 10Gb"),
        ("--ranks 4 --network 1Gb --gflops 3 --measure", "give only one of --gflops and --measure"),
        ("--ranks 4 --network 1Gb --step-time 0", "--step-time must be a positive number"),
        ("--ranks 4 --network 1Gb --gflops nan", "--gflops must be a positive number"),
        ("--ranks 17 --network 1Gb", "a batch has 16 rows: more ranks than that would have nothing to do"),
    ],
)
def test_refused(spec: Path, words: str, answer: str) -> None:
    result = graphspec("summary", spec, *words.split())
    assert (result.exit_code, result.stdout) == (2, "")
    assert answer in result.stderr


def test_sizes_that_come_from_the_rows(spec: Path) -> None:
    text = "graphspec: 1\nname: learnt\ninputs: {t: {columns: {word: category, x: number}}}\n"
    text += "layers: [{name: y, type: Dense, units: 1}]\noutputs: {y: {loss: mse}}\n"
    text += "data: {train: {file: t.csv}}\n"
    Path("learnt.yaml").write_text(text)
    Path("t.csv").write_text("word,x,y\n" + "a,1,2\nb,2,3\n" * 40)
    options = ("--ranks", 2, "--network", "1Gb")
    refused = graphspec("summary", "learnt.yaml", *options)
    assert refused.exit_code == 2
    assert "comes from the training rows: give --measure, or the run of a training" in " ".join(refused.stderr.split())
    assert graphspec("summary", "learnt.yaml", *options, "--measure").exit_code == 0
    assert graphspec("train", "learnt.yaml", "--set", "training.epochs=1").exit_code == 0
    assert graphspec("summary", "runs/learnt", *options).exit_code == 0
