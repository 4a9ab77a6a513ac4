"""A model that several share: threads, copies, pickles, processes."""

from __future__ import annotations

import copy
import json
import multiprocessing
import os
import pickle
import random
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphspec as gs
from graphspec.engine.parallel.shards import Step
from graphspec.engine.runtime.program import Access, ProgramCache
from graphspec.vocabulary.callbacks.callback import Callback, CallbackState, Run
from trust.attack_sharing import KINDS, attack, copies, in_threads, rows, serve, spec, train_beside


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.slow
def test_threads_that_predict_and_evaluate_at_once_get_their_own_answers(kind: str) -> None:
    assert serve(gs.compile(spec(kind)), kind, threads=8, calls=60, seed=1) == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_training_beside_predictions(kind: str) -> None:
    assert train_beside(gs.compile(spec(kind)), kind, 2) == []


@pytest.mark.parametrize(
    "optimizer", ["adam", "adafactor", "muon", {"type": "SGD", "momentum": 0.9, "use_ema": True}], ids=str
)
def test_copies_are_models_of_their_own(optimizer: Any) -> None:
    assert copies(gs.compile(spec("dense", optimizer=optimizer)), "dense", 3) == []


def test_a_copy_of_a_model_that_has_predicted_answers_for_its_own_rows() -> None:
    model = gs.compile(spec("dense"))
    x, y = rows("dense", 20, 1)
    model.predict(x)
    twin = copy.deepcopy(model)
    assert np.array_equal(twin.predict(2 * x), model.predict(2 * x))
    before = twin.weights
    twin.fit(x, y, verbose=0)
    assert any(not np.array_equal(before[n], w) for n, w in twin.weights.items())
    assert all(np.array_equal(before[n], w) for n, w in model.weights.items())


@pytest.mark.parametrize("seed", range(6))
def test_a_model_shared_in_some_way(seed: int) -> None:
    assert attack(random.Random(seed)) == []


class _Meanwhile(Callback):
    """Does something in the middle of a training."""

    do: Any = None

    def start(self, run: Run) -> CallbackState:
        state = CallbackState()
        state.on_epoch_end = lambda epoch, logs: self.do()  # type: ignore[method-assign]
        return state


def while_training(do: Callable[[gs.Model], Any], *, elsewhere: bool) -> list[Any]:
    """What ``do`` gave or raised during a training, in its thread or in another."""
    model = gs.compile(spec("dense"))
    x, y = rows("dense", 16, 1)
    found: list[Any] = []

    def attempt() -> None:
        try:
            found.append(do(model))
        except gs.GraphspecError as error:
            found.append(error)

    def act() -> None:
        if not elsewhere:
            attempt()
            return
        thread = threading.Thread(target=attempt)
        thread.start()
        thread.join()

    model.fit(x, y, epochs=1, callbacks=[_Meanwhile(do=act)], verbose=0)
    return found


ACTS: dict[str, Callable[[gs.Model], Any]] = {
    "predict": lambda m: m.predict(rows("dense", 4, 1)[0]),
    "evaluate": lambda m: m.evaluate(*rows("dense", 4, 1)),
    "run": lambda m: m.run({"x": rows("dense", 4, 1)[0]}),
    "weights": lambda m: m.weights,
    "copy": copy.copy,
    "pickle": pickle.dumps,
    "set_weights": lambda m: m.set_weights({}),
}


@pytest.mark.parametrize("act", [*ACTS, "fit"])
def test_other_threads_are_refused_while_one_trains(act: str) -> None:
    do = ACTS.get(act, lambda m: m.fit(*rows("dense", 4, 1), verbose=0))
    [error] = while_training(do, elsewhere=True)
    assert isinstance(error, gs.UsageError)
    assert "another thread is training this model" in str(error)


@pytest.mark.parametrize("act", ACTS)
def test_a_callback_may_use_the_model(act: str) -> None:
    [given] = while_training(ACTS[act], elsewhere=False)
    assert not isinstance(given, Exception)


def test_a_callback_may_train_a_copy_and_not_the_model() -> None:
    [error] = while_training(lambda m: m.fit(*rows("dense", 4, 1), verbose=0), elsewhere=False)
    assert isinstance(error, gs.UsageError)
    assert "a callback cannot train the model that is being trained" in str(error)
    [history] = while_training(lambda m: copy.copy(m).fit(*rows("dense", 4, 1), verbose=0), elsewhere=False)
    assert not isinstance(history, Exception), history


def test_weights_change_when_nobody_reads_them() -> None:
    access, order = Access(), list[str]()
    reading = threading.Event()

    def work(k: int) -> list[str]:
        if k == 0:
            with access.reading():
                reading.set()
                writer.wait()
                with access.reading():  # once more, although somebody waits to write
                    order.append("read")
        else:
            reading.wait()
            writer.set()
            with access.writing():
                order.append("written")
        return []

    writer = threading.Event()
    assert in_threads(2, work) == []
    assert order == ["read", "written"]
    with access.reading(), pytest.raises(gs.UsageError, match="while it computes with it"), access.writing():
        pass
    with access.writing():  # nothing is held any more
        pass


def test_readers_that_come_and_go_never_meet_a_writer() -> None:
    access, inside, met = Access(), list[int](), list[str]()

    def work(k: int) -> list[str]:
        for _ in range(400):
            if k:
                with access.reading(), access.reading():
                    inside.append(k)
                    inside.remove(k)
            else:
                with access.writing():
                    met.extend(map(str, inside))
        return []

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        assert in_threads(4, work) == []
    finally:
        sys.setswitchinterval(interval)
    assert met == []
    assert not access._readers


def test_only_as_many_programs_compute_at_once_as_there_are_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphspec.engine.runtime.program.usable_cores", lambda: 2)
    programs, made, at_once, most = ProgramCache(), list[int](), list[int](), list[int]()

    def make() -> Any:
        made.append(1)
        return type("Program", (), {"nbytes": 1})()

    def work(k: int) -> list[str]:
        for _ in range(50):
            with programs.borrow("key", make):
                at_once.append(k)
                most.append(len(at_once))
                at_once.remove(k)
        return []

    assert in_threads(6, work) == []
    assert max(most) <= 2
    assert len(made) <= 2


def test_a_program_that_failed_is_not_used_again() -> None:
    programs = ProgramCache()
    program = type("Program", (), {"nbytes": 1})()
    with pytest.raises(KeyboardInterrupt), programs.borrow("key", lambda: program):
        raise KeyboardInterrupt
    assert programs.take("key") is None


def test_a_second_fit_binds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    bound = list[int]()
    bind = Step.bind
    monkeypatch.setattr(Step, "bind", lambda *given, **named: bound.append(1) or bind(*given, **named))
    x, y = rows("dense", 20, 1)  # two batches of 8, one of 4
    # In one process: with several, programs view memory that ends with them.
    model, once = gs.compile(spec("dense", workers=1)), gs.compile(spec("dense", workers=1))
    for _ in range(3):
        model.fit(x, y, verbose=0)
    assert len(bound) == 2
    model.fit(x, y, sample_weight=np.ones(20), verbose=0)  # another graph
    assert len(bound) == 4
    once.fit(x, y, epochs=3, verbose=0)
    once.fit(x, y, sample_weight=np.ones(20), verbose=0)
    assert all(np.array_equal(w, model.weights[n]) for n, w in once.weights.items())


# Processes.


def answers(model: gs.Model, x: np.ndarray) -> np.ndarray:
    """In another process."""
    found: np.ndarray = model.predict(x)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_processes_that_are_forked_or_spawned_give_the_same_answers(start: str) -> None:
    if start not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system cannot {start}")
    model = gs.compile(spec("dense"))
    x, y = rows("dense", 12, 1)
    model.fit(x, y, verbose=0)
    expected = model.predict(x)
    with multiprocessing.get_context(start).Pool(1) as pool:
        assert np.array_equal(pool.apply(answers, (model, x)), expected)
    assert np.array_equal(model.predict(x), expected)


@pytest.mark.skipif(not hasattr(os, "fork") or sys.platform == "darwin", reason="this system does not fork safely")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_locks_that_other_threads_hold_are_free_in_a_forked_process(tmp_path: Path) -> None:
    """A fork in the middle of a prediction answers; one in the middle of a change of weights is refused."""
    model = gs.compile(spec("dense"))
    x, _ = rows("dense", 4, 1)
    expected = model.predict(x)
    for hold, says in ((model.access.reading, "right"), (model.access.writing, "forked while another thread")):
        begun, end = threading.Event(), threading.Event()

        def work(hold: Any = hold, begun: Any = begun, end: Any = end) -> None:
            with hold():
                begun.set()
                end.wait()

        thread = threading.Thread(target=work)
        thread.start()
        begun.wait()
        if os.fork() == 0:
            try:
                text = "right" if np.array_equal(model.predict(x), expected) else "wrong"
            except BaseException as error:
                text = str(error)
            (tmp_path / "answer").write_text(text)
            os._exit(0)
        os.wait()
        end.set()
        thread.join()
        assert says in (tmp_path / "answer").read_text()


def test_a_pickle_is_the_document_and_arrays(tmp_path: Path) -> None:
    """No code, no buffers: what is needed to make the model anew."""
    model = gs.compile(spec("dense"))
    state = model.__getstate__()
    assert set(state) == {"document", "base", "folder", "adapted", "weights", "update", "more"}
    assert state["document"]["layers"] == KINDS["dense"]["layers"]
    assert state["update"] is None
    assert state["adapted"] is None


LEARNING = {
    "graphspec": 1,
    "name": "learning",
    "inputs": {"kind": {"shape": [1], "dtype": "string"}, "size": {"shape": [1]}},
    "layers": [
        {"name": "scaled", "type": "Normalization", "inputs": "size"},
        {"name": "known", "type": "StringLookup", "output_mode": "one_hot", "inputs": "kind"},
        {"name": "both", "type": "Concatenate", "inputs": ["scaled", "known"]},
        {"name": "y", "type": "Dense", "units": 1},
    ],
    "outputs": {"y": {"loss": "mean_squared_error"}},
    "training": {"seed": 1, "batch_size": 8, "workers": 1},
}
"""Its layers learn a vocabulary, a mean and a variance from the rows."""


def learning_rows(count: int) -> tuple[dict[str, Any], np.ndarray]:
    r = np.random.default_rng(count)
    kind = r.choice(np.array(["red", "Bär", "日本", "", "a\x00b"], object), (count, 1))
    return {"kind": kind, "size": r.normal(3, 2, (count, 1)).astype("float32")}, r.normal(size=(count, 1))


def learnt() -> gs.Model:
    model = gs.compile(LEARNING)
    model.fit(*learning_rows(24), epochs=2, verbose=0)
    return model


def test_what_has_been_learnt_is_pickled_as_plain_values() -> None:
    model = learnt()
    state = model.__getstate__()
    assert json.loads(json.dumps(state["adapted"])) == state["adapted"]
    assert set(state["adapted"]["layers"]) == {"scaled", "known"}
    assert "Bär" in state["adapted"]["layers"]["known"]["vocabulary"]


@pytest.mark.parametrize("twin", [copy.copy, copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_of_a_model_that_has_learnt(twin: Callable[[gs.Model], gs.Model]) -> None:
    """They know the vocabulary, and they train on with the same state, each for itself."""
    model = learnt()
    other = twin(model)
    x, y = learning_rows(24)
    assert np.array_equal(other.predict(x), model.predict(x))
    assert other.adapted == model.adapted
    before = model.weights
    other.fit(x, y, verbose=0)
    assert all(np.array_equal(before[n], w) for n, w in model.weights.items())
    model.fit(x, y, verbose=0)
    assert all(np.array_equal(other.weights[n], w) for n, w in model.weights.items())


@pytest.mark.parametrize("twin", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_of_a_model_that_has_yet_to_learn(twin: Callable[[gs.Model], gs.Model]) -> None:
    model = gs.compile(LEARNING)
    other = twin(model)
    x, y = learning_rows(24)
    with pytest.raises(gs.UsageError, match="call `fit`"):
        other.predict(x)
    for each in (model, other):
        each.fit(x, y, verbose=0)
    assert np.array_equal(other.predict(x), model.predict(x))


def test_threads_that_share_a_model_that_has_learnt() -> None:
    """Each gets the answers for its own rows, also from the part that onnxruntime computes."""
    model = learnt()
    cases = [learning_rows(k)[0] for k in range(3, 11)]
    expected = [model.predict(x) for x in cases]

    def work(k: int) -> list[str]:
        answers = (model.predict(cases[k]) for _ in range(20))
        return [] if all(np.array_equal(a, expected[k]) for a in answers) else [f"thread {k} got other answers"]

    assert in_threads(len(cases), work) == []
