"""The golden cases of sums of exponentials, largest elements and frames."""

from __future__ import annotations

from cases import Case
from cases_ops import INT, op


def layer_cases() -> list[Case]:
    ids = {"shape": [], "between": (0, 4), **INT}
    frames = {"sequence_length": 4, "sequence_stride": 3}
    return [
        op("erf", "one", [3]),
        op("erf", "two", [2, 2], between=(-0.5, 0.5)),
        op("rsqrt", "one", [3], between=(0.2, 3)),
        op("rsqrt", "int", {"shape": [3], "between": (1, 9), **INT}),
        op("logsumexp", "last", [3, 4], axis=-1),
        op("logsumexp", "kept", [3, 4], axis=[1, 2], keepdims=True, between=(-99, 99)),
        op("logsumexp", "time", [None, 2], axis=1),
        op("top_k", "one", [6], k=2),
        op("top_k", "all", [2, 3], k=3),
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
