"""Write the golden values of Keras 3 (torch backend, float64) that the tests compare graphspec with.

Run in an environment of its own: ``pip install keras==3.15.1 torch==2.13.0 jax numpy safetensors``, then
``KERAS_BACKEND=torch python tests/golden/make_keras.py [SECTION …]``: all sections, or those named: ``layers_<family>``
of ``cases_<family>.py``, or ``<section>`` of ``section_<section>.py``. ``KERAS_BACKEND=jax … make_keras.py --check``
compares the stored outputs of layers and losses with a second backend.

A section is ``<section>.safetensors`` (arrays ``<case id>/<kind>/<name>``, float64 stored as float32) and
``<section>.json`` (spec or arguments by case id).
"""

from __future__ import annotations

import sys
from importlib import import_module

import section_layers
import section_losses
from keras_models import HERE, Section


def sections() -> list[str]:
    """The names of all sections."""
    others = sorted(path.stem.removeprefix("section_") for path in HERE.glob("section_*.py"))
    return [f"layers_{name}" for name in section_layers.families()] + [name for name in others if name != "layers"]


def make(name: str) -> Section:
    """The values of one section."""
    if name.startswith("layers_"):
        return section_layers.section(name.removeprefix("layers_"))
    section: Section = import_module(f"section_{name}").section()
    return section


if __name__ == "__main__":
    if "--check" in sys.argv:
        for family in section_layers.families():
            section_layers.check(family)
        section_losses.check()
    else:
        for name in sys.argv[1:] or sections():
            make(name).write()
