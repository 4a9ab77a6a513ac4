"""Tests mirror the package: the tests of a module stand at its place and have its name."""

from __future__ import annotations

from pathlib import Path

from paths import ROOT, TESTS
from quick import SLOW, is_quick

import graphspec

PACKAGE = Path(graphspec.__file__).parent
OWN = {
    "consumers": "apps in other languages, and the files and records that they are given",
    "diagnostics": "broken specs and their answers",
    "golden": "values of Keras, and how they are made",
    "models": "models that people write, as specs and in Keras",
    "pretrained": "files of other programs, which are fetched",
    "support": "helpers",
    "trust": "attacks, and what they have found",
}
"""Folders that mirror nothing."""
OF_MANY = {
    "vocabulary/callbacks/test_golden.py": "all callbacks against Keras",
    "cli/test_screens.py": "what every command prints at three widths",
    "editor/test_positions.py": "what an editor shows, by yaml-language-server",
    "export/test_layers.py": "the exports of all layers",
    "graph/passes/test_docstrings.py": "the examples of all passes",
    "foreign/keras_files/test_examples.py": "small models that Keras has saved, imported",
    "foreign/keras_files/test_written.py": "specs that imports write",
    "foreign/keras_files/test_refused.py": "what files of Keras may have that a spec cannot",
    "foreign/keras_files/test_families.py": "networks of keras.applications that Keras has saved, imported",
    "graph/kernels/test_compiled_operators.py": "compiled kernels of several operators against their twins",
    "language/test_golden.py": "all types of columns against scikit-learn",
    "vocabulary/layers/test_errors.py": "what all layers refuse",
    "vocabulary/layers/test_golden.py": "all layers against Keras",
    "vocabulary/layers/test_layers.py": "shapes and weights of all layers",
    "vocabulary/layers/test_masks.py": "masks of all layers",
    "vocabulary/losses/test_golden.py": "all losses against Keras",
    "vocabulary/metrics/test_golden.py": "all metrics against Keras",
    "vocabulary/onnx_files/unfreeze/test_training.py": "specs with a file that trains",
    "vocabulary/operations/test_numpy.py": "operations of several families",
    "graph/ops/test_allocation.py": "a table of all operators",
    "graph/ops/test_cases.py": "whether the tables show all operators",
    "graph/ops/test_gradients.py": "a table of all operators",
    "graph/ops/test_no_rows.py": "a table of all operators",
    "graph/ops/test_node.py": "ONNX's tests of all operators",
    "graph/ops/test_onnxruntime.py": "a table of all operators",
    "graph/ops/test_shapes.py": "what many operators infer and refuse",
    "test_architecture.py": "the floors of the package",
    "test_architectures.py": "the networks in specs/architectures",
    "test_benchmarks.py": "the networks in benchmarks/, and what is told of a race",
    "test_depth.py": "work and memory of deep networks, from checking to the export",
    "test_diagnostics.py": "every code, with a broken spec and its answer",
    "test_distribution.py": "what the wheel and the source archive hold",
    "test_docs.py": "the pages in docs/",
    "test_exported_members.py": "what the package offers",
    "test_initial_arrays.py": "arrays as initial values: specs, runs, workers, pickles",
    "test_mirror.py": "the places of tests",
    "test_prepare_specs_data.py": "specs/data/prepare.py",
    "test_python_page.py": "docs/python.md, and the examples of docstrings",
    "test_readme.py": "the README",
    "test_tutorials.py": "the pages in docs/tutorials/",
    "test_pictures.py": "the pictures in docs/pictures/",
    "test_specs.py": "the specs in specs",
    "test_specs_by_ranks.py": "the specs in specs, by MPI ranks",
    "test_vocabulary.py": "docs/vocabulary.md and docs/vocabulary/",
    "engine/training/test_ctc_words.py": "words from pictures, from the rows to the file",
    "engine/training/test_golden.py": "whole models against Keras",
}
"""Tests of no module of their own, and what they are about."""


def module_of(test: Path) -> Path:
    """The file that a test of this path, below ``tests/``, is named after."""
    name = test.name.removeprefix("test_")
    return ROOT / "tools" / name if test.parts[0] == "tools" else PACKAGE / test.parent / name


def misplaced(tests: list[Path]) -> list[str]:
    """The tests that have neither the place and name of a module nor an entry above."""
    return [
        f"tests/{path.as_posix()}: there is no {module.relative_to(ROOT).as_posix()}; name it after what it tests"
        for path in tests
        if path.parts[0] not in OWN and path.as_posix() not in OF_MANY and not (module := module_of(path)).is_file()
    ]


def test_tests_have_the_place_and_the_name_of_a_module() -> None:
    tests = [path.relative_to(TESTS) for path in sorted(TESTS.rglob("test_*.py"))]
    assert len(tests) > 100
    assert not (found := misplaced(tests)), "\n".join(found)
    assert {*OF_MANY} <= {path.as_posix() for path in tests}
    assert [path for path in OF_MANY if module_of(Path(path)).is_file()] == []


def test_a_test_of_no_module_is_found() -> None:
    assert misplaced([Path("graph/ops/test_erf.py"), Path("tools/test_new.py"), Path("test_api.py")]) == []
    assert misplaced([Path("graph/ops/test_nothing.py")]) == [
        "tests/graph/ops/test_nothing.py: there is no graphspec/graph/ops/nothing.py; name it after what it tests"
    ]
    assert (
        len(misplaced([Path("vocabulary/losses/test_erf.py"), Path("tools/test_erf.py"), Path("test_nothing.py")])) == 3
    )


def test_every_folder_mirrors_one() -> None:
    folders = {path.parent.relative_to(TESTS) for path in TESTS.rglob("*.py")} - {Path("ops/cases")}
    strange = [f for f in folders if f.parts and f.parts[0] not in (*OWN, "tools") and not (PACKAGE / f).is_dir()]
    assert strange == []
    assert all((TESTS / name).is_dir() for name in OWN)


def test_quick_tests_are_of_every_folder() -> None:
    folders = {path.parent for path in TESTS.rglob("test_*.py")} - {TESTS / "trust"}
    quick = {path.parent for path in TESTS.rglob("test_*.py") if is_quick(path)}
    assert folders == quick
    slow = [entry.partition("::") for entry in SLOW]
    assert [entry for entry, _, _ in slow if not (TESTS / entry).exists()] == []
    for file, _, test in slow:
        assert not test or f"def {test}" in (TESTS / file).read_text(encoding="utf-8"), test
    assert tuple(sorted(SLOW)) == SLOW
