"""The golden cases of the largest predictions and of frames."""

from __future__ import annotations

from cases import Case
from cases_ops import INT, op


def layer_cases() -> list[Case]:
    ids = {"shape": [], "between": (0, 4), **INT}
    frames = {"sequence_length": 4, "sequence_stride": 3}
    return [
        op("in_top_k", "one", ids, [5], k=1),
        op("in_top_k", "three", ids, [5], k=3),
        op("extract_sequences", "one", [10], **frames),
        op("extract_sequences", "more", [2, 9], sequence_length=3, sequence_stride=3),
        op("stft", "centre", [20], **frames, fft_length=8),
        op(
            "stft", "plain", [2, 18], sequence_length=6, sequence_stride=2, fft_length=6, window="hamming", center=False
        ),
        op("stft", "none", [15], **frames, fft_length=5, window=None),
    ]
