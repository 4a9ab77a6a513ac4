"""What ``pytest -m quick`` leaves out: tests that train, start processes, or try hundreds of cases."""

from __future__ import annotations

from pathlib import Path

from paths import TESTS

SLOW = (
    "cli/test_app.py",
    "cli/test_init.py",
    "cli/test_predict.py",
    "cli/test_train.py",
    "compiler/test_check.py::test_any_document_gets_an_answer",
    "compiler/test_check.py::test_time_grows",
    "consumers/test_csharp_java.py",
    "consumers/test_four_commands.py",
    "consumers/test_python.py::test_fixtures_are_what",
    "consumers/test_web.py",
    "data/test_batches.py",
    "editor/test_positions.py::test_shipped_specs",
    "export/test_layers.py",
    "graph/passes/test_fuse_conv_max_pool.py",
    "graph/passes/test_legalize.py",
    "graph/passes/test_shard_products.py",
    "graph/passes/test_sparsify_bool_inputs.py::test_training",
    "ir/test_dims.py::test_deep_nesting",
    "kernels/test_matmul.py",
    "kernels/test_max_taps.py",
    "kernels/test_winograd.py",
    "language/test_expand.py::test_expanding_is_linear",
    "language/test_expand.py::test_long_chains",
    "language/test_expand.py::test_what_grows_without_end",
    "language/test_golden.py",
    "language/test_parse.py::test_parsing_is_linear",
    "language/test_read.py::test_reading_is_linear",
    "language/test_schema.py::test_shipped_specs",
    "layers/test_attention.py::test_exported",
    "layers/test_convolution.py::test_an_axis_that_varies",
    "layers/test_golden.py",
    "layers/test_recurrent.py",
    "losses/test_golden.py::test_losses_of_workers",
    "metrics/test_golden.py::test_a_state_goes",
    "metrics/test_golden.py::test_results_do_not_depend",
    "ops/test_allocation.py",
    "ops/test_attention.py",
    "ops/test_batch_norm.py",
    "ops/test_conv_transpose.py",
    "ops/test_convolution.py",
    "ops/test_einsum.py",
    "ops/test_gradients.py::test_other_memory_order",
    "ops/test_gradients.py::test_overwritten_operands",
    "ops/test_gradients.py::test_values_used_twice",
    "ops/test_layer_norm.py",
    "ops/test_node.py",
    "ops/test_onnxruntime.py",
    "ops/test_pooling.py",
    "ops/test_recurrent.py",
    "ops/test_recurrent_dropout.py",
    "ops/test_scatter.py",
    "optimizers/test_base.py::test_steps_do_not_allocate",
    "parallel/test_leader.py",
    "parallel/test_worker.py",
    "test_architectures.py",
    "test_depth.py",
    "test_diagnostics.py::test_answer_of_a_fresh",
    "test_diagnostics.py::test_json",
    "test_distribution.py",
    "test_extend.py::test_workers_import",
    "test_initializers.py::test_moments",
    "test_prepare_specs_data.py",
    "test_tutorials.py::test_a_reader_succeeds",
    "test_vocabulary.py::test_every_layer_is_known",
    "tools/test_new.py::test_every_kind_works_at_once",
    "tools/test_new.py::test_what_is_refused",
    "training/test_adapt.py",
    "training/test_choose_workers.py",
    "training/test_golden.py",
    "training/test_run_directory.py",
    "training/test_trainer.py",
    "trust/",
)
"""Folders, files, and tests by the beginning of their names, from ``tests/``."""


def is_quick(path: Path, test: str = "") -> bool:
    """Whether a test, or any test of a file, is for every change."""
    name = path.relative_to(TESTS).as_posix()
    return not (f"{name}::{test}" if test else name).startswith(SLOW)
