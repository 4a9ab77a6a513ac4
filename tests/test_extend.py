"""Plugins: a class that is defined outside graphspec is part of the vocabulary once its module is imported."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import graphspec
from paths import ROOT
from watching import Recorder

import graphspec as gs
from graphspec import extend
from graphspec.base import config
from graphspec.base.config import Config, Registry
from graphspec.base.errors import GivenText
from graphspec.engine.training import choose_workers as choose
from graphspec.engine.training.prepare import FitData, prepare_fit
from graphspec.language.explain import REGISTRIES
from graphspec.language.schema import accepted, schema

PAGE = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
PLUGIN, USE, TILTED, SOFTER = re.findall(r"^```python\n(.*?)^```$", PAGE, re.M | re.S)
PACKAGE = ROOT / "examples" / "plugin"


@pytest.fixture
def registries() -> Iterator[None]:
    """What a test registers is forgotten after it."""
    yield
    for registry in REGISTRIES.values():
        for name in [n for n, cls in registry._classes.items() if not cls.__module__.startswith("graphspec.")]:
            del registry._classes[name]
    config._plugins = None


@pytest.fixture
def tilted(registries: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The package of `examples/plugin` as pip installs it, and its module, to be changed before it is loaded."""
    project = tomllib.loads((PACKAGE / "pyproject.toml").read_text("utf-8"))["project"]
    about = tmp_path / f"graphspec_tilted-{project['version']}.dist-info"
    about.mkdir()
    lines = [f"{name} = {module}" for name, module in project["entry-points"]["graphspec.extend"].items()]
    (about / "entry_points.txt").write_text("\n".join(["[graphspec.extend]", *lines]), "utf-8")
    (about / "METADATA").write_text(f"Name: {project['name']}\nVersion: {project['version']}\n", "utf-8")
    for name in ("tilted.py", "tilted.yaml"):
        (tmp_path / name).write_text((PACKAGE / name).read_text("utf-8"), "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(config, "_plugins", None)
    monkeypatch.setattr(config, "_packages", set())
    monkeypatch.setattr(config, "_unfinished", [])
    yield tmp_path / "tilted.py"
    sys.modules.pop("tilted", None)


@pytest.fixture
def gates(registries: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The plugin of the page, imported."""
    (tmp_path / "gates.py").write_text(PLUGIN, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("gates")
    del sys.modules["gates"]


def rows() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    x = random.standard_normal((64, 4)).astype(np.float32)
    return x, x.sum(1, keepdims=True)


def model(*sets: str) -> gs.Model:
    names: dict[str, Any] = {}
    exec(USE, names)  # noqa: S102 (a page of this repository)
    return gs.compile(names["model"].spec.document, sets)


def test_a_layer_of_a_plugin_is_a_layer(gates: Any, tmp_path: Path) -> None:
    made = model("training.epochs=3")
    x, y = rows()
    assert type(made.spec.nodes[1].layer) is gates.Gate
    losses = made.fit(x, y, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    made.export(tmp_path / "net.onnx")
    made.save(tmp_path / "run")
    np.testing.assert_array_equal(gs.load(tmp_path / "run").predict(x), made.predict(x))


@pytest.mark.slow
def test_it_is_checked_and_suggested_like_any_other(gates: Any) -> None:
    document = model().spec.document
    wrong = {**document, "layers": [{"name": "y", "type": "Gate", "factors": 2.0}]}
    (found,) = gs.validate(wrong)
    assert (found.code, found.path) == ("GS102", "layers.y.factors")
    assert found.hint is not None
    assert "factor" in found.hint
    (found,) = gs.validate({**document, "layers": [{"name": "y", "type": "Gat"}]})
    assert found.code == "GS111"
    assert "Gate" in str(found.hint)
    assert "layer.Gate" in schema()["$defs"]


@pytest.mark.slow
def test_workers_import_it_too(gates: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose, "usable_cores", lambda: 2)
    trained = []
    for workers in (1, 2):
        trained.append(model(f"training.workers={workers}", "training.epochs=2"))
        trained[-1].fit(*rows(), verbose=0)
        assert trained[-1].workers == workers
    one, two = (each.weights for each in trained)
    for name, weight in one.items():
        np.testing.assert_allclose(two[name], weight, rtol=1e-4, atol=1e-6)


def test_classes_of_the_script_itself_train_in_one_process(gates: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose, "usable_cores", lambda: 2)
    monkeypatch.setattr(gates.Gate, "__module__", "__main__")
    made, watcher = model("training.workers=2", "training.epochs=1"), Recorder()
    watcher.trainer = prepare_fit(made, FitData(*rows()), observer=watcher)
    watcher.trainer.run()
    assert made.workers == 1
    assert watcher.said == [
        "one worker instead of 2: the script defines classes that the spec may use: move them to a module, and import it"
    ]


def test_the_page_shows_the_package() -> None:
    shown = TILTED.partition("\n")[2]
    assert shown == (PACKAGE / "tilted.py").read_text("utf-8")
    assert f"```yaml\n# tilted.yaml\n{(PACKAGE / 'tilted.yaml').read_text('utf-8')}```" in PAGE


def test_names_of_an_installed_package_need_no_import(tilted: Path) -> None:
    spec = tilted.with_suffix(".yaml")
    assert graphspec("validate", spec).exit_code == 0
    made, (x, y) = gs.compile(spec), rows()
    history = made.fit(x, y, verbose=0).history
    error = made.predict(x).astype(np.float64) - y
    found = made.evaluate(x, y)
    assert found["loss"] == pytest.approx((error**2 * np.where(error < 0, 5, 1)).mean(), rel=1e-5)
    assert found["within"] == pytest.approx((np.abs(error) <= 0.5).mean())
    assert history["loss"][-1] < history["loss"][0]
    assert "equal to the runtime" in str(made.export(tilted.with_suffix(".onnx")))


def test_names_of_graphspec_load_no_plugin(tilted: Path) -> None:
    for name in ("housing", "same_garment", "architectures/simclr"):
        assert gs.validate(ROOT / "specs" / f"{name}.yaml") == []
    assert config._plugins is None
    assert "tilted" not in sys.modules
    assert "Gate" in {cls.__name__ for cls in accepted(extend.LAYERS)}  # which schemas and editors ask


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("import numpy", "import nonumpy", "GS111 cannot be loaded: ModuleNotFoundError: No module named 'nonumpy'"),
        ("factor: float", "factor: flaot", "GS111 cannot be loaded: NameError: name 'flaot' is not defined"),
        (
            "factor: float",
            "factor: 'flaot'",
            "GS111 cannot be loaded: NameError: name 'flaot' is not defined, of a key of",
        ),
        ("LAYERS.add()", 'LAYERS.add("Dense")', "GS111 cannot be loaded: ValueError: 'Dense' is already a layer"),
        ("import numpy as np", "raise SystemExit", "GS111 cannot be loaded: SystemExit"),
        ("return X * g.Sig", "return 1 / 0 * g.Sig", "GS105 Gate 'gate_1' fails in its plugin: ZeroDivisionError"),
        ("return X * g.Sigmoid(X * self.factor)", "return None", "GS105 Gate 'gate_1' returns None, which is no Value"),
        ("high * high", "high @ high", "GS402 tilted of head 'y' fails in its plugin: ShapeError: has inner sizes"),
    ],
)
def test_a_broken_plugin_is_a_diagnostic(tilted: Path, old: str, new: str, told: str) -> None:
    tilted.write_text(tilted.read_text("utf-8").replace(old, new), "utf-8")
    found = gs.validate(tilted.with_suffix(".yaml"))
    code, _, message = told.partition(" ")
    assert code in {str(d.code) for d in found}
    assert any(message in f"{d.message} {d.hint}" for d in found)
    assert "(tilted.py, line " in str(found) or "None" in told or "of a key of Gate" in str(found)
    assert ("cannot be loaded" in told) == ("plugins: the plugin 'tilted' cannot" in graphspec("doctor").stdout)


def test_a_plugin_that_fails_while_it_runs_is_named(tilted: Path) -> None:
    tilted.write_text(tilted.read_text("utf-8").replace("np.abs", "np.abz"), "utf-8")
    spec = tilted.with_suffix(".yaml")
    x, y = rows()
    np.savez(spec.with_suffix(".npz"), x=x, y=y)
    result = graphspec("train", spec, "--set", "data.train.file=tilted.npz", "--out", tilted.parent / "run")
    assert result.exit_code == 2
    assert "error: a plugin fails: AttributeError: module 'numpy' has no attribute 'abz' (tilted.py" in result.stderr


def test_a_name_of_graphspec_cannot_be_taken(registries: None) -> None:
    with pytest.raises(ValueError, match="'Conv2D' is already a layer of graphspec"):
        extend.LAYERS.add("Conv2D")(type("Mine", (extend.Layer,), {}))
    assert extend.LAYERS.get("Conv2D") is not None


def test_a_registry_knows_its_plugins() -> None:
    registry: Registry[Config] = Registry("thing", "One")
    registry.add("One", "one")(type("One", (Config,), {"__module__": "mine"}))
    registry.add("Two")(type("Two", (Config,), {"__module__": "graphspec.things"}))
    assert registry.plugins() == ["mine"]
    assert [extend.LAYERS.plugins(), extend.LOSSES.plugins()] == [[], []]


def test_every_registry_and_its_base_are_there() -> None:
    for registry in REGISTRIES.values():
        assert registry in vars(extend).values(), registry.kind
    for name in extend.__all__:
        assert getattr(extend, name) is not None
    public = {name for name in vars(extend) if not name.startswith("_")} - {"annotations"}
    assert public == set(extend.__all__)


@pytest.mark.slow
def test_importing_graphspec_does_not_import_it() -> None:
    code = "import sys, graphspec, graphspec.api.model; sys.exit('graphspec.extend' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_old_names_of_a_plugin(registries: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extend.LAYERS, "old", {})
    (tmp_path / "softer.py").write_text(SOFTER, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "softer", raising=False)
    importlib.import_module("softer")
    old, new = re.findall(r"^`(\{type: \w+,.*?\})` is then `(.*?)`", PAGE, re.M)[0]

    def spec(layer: str) -> GivenText:
        head = "graphspec: 1\nname: s\ninputs: {x: {shape: [3]}}\nlayers:\n  - "
        return GivenText("s.yaml", head + layer + "\n  - {name: y, type: Dense, units: 1}\noutputs: {y: {loss: mse}}\n")

    found = [(d.code, d.severity, d.message) for d in gs.validate(spec(old))]
    assert [message for *_, message in found] == [
        "'Squash' is written `Soften` since softer 2.0",
        "'amount' is written `factor` since softer 2.0",
        "'sigmoid' is written `logistic` since softer 2.0",
    ]
    assert {(code, severity) for code, severity, _ in found} == {("GS112", "warning")}
    assert gs.compile(spec(old)).spec.document == gs.compile(spec(new)).spec.document
