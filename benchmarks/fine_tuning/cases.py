"""What is fine-tuned: the specs of ``examples/fine-tuning``, and the same for PyTorch. Needs the standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "fine-tuning"


@dataclass(frozen=True)
class Case:
    """A spec by its name, and what it does.

    Attributes:
        file: the pretrained network, beside the spec.
        output: the value of it that the head reads.
        size: height and width of the pictures that it reads, ink or cloth from -1 to 1.
        inverted: whether dark is 1.
        target, classes: the name of the labels, and how many there are.
        trains: whether the pretrained weights train.
        dropout: the rate before the head.
    """

    name: str
    rows: str
    file: str
    output: str
    size: tuple[int, int]
    target: str
    classes: int
    inverted: bool = False
    trains: bool = False
    dropout: float = 0.0
    epochs: int = 10
    batch: int = 64
    rate: float = 0.001

    @property
    def spec(self) -> Path:
        return FOLDER / f"{self.name}.yaml"


CASES = {
    case.name: case
    for case in (
        Case(
            *("garments", "garments", "ch_PP-OCRv4_det_infer.onnx", "p2o.Add.107", (56, 56), "garment", 10),
            dropout=0.5,
        ),
        Case(
            *("letters", "letters", "ch_PP-OCRv4_rec_infer.onnx", "p2o.AveragePool.1", (48, 24), "letter", 26),
            inverted=True,
        ),
        Case(
            *("letters_unfrozen", "letters", "ch_ppocr_mobile_v2.0_cls_infer.onnx", "pool2d_10.tmp_0", (48, 24)),
            *("letter", 26),
            trains=True,
            epochs=5,
        ),
    )
}
