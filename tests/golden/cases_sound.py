"""The golden cases of spectrograms. MelSpectrogram has a batch of one: Keras's ``top_db`` counts from the whole batch."""

from __future__ import annotations

from cases import Case, single

MEL = {"fft_length": 16, "sequence_stride": 5, "sampling_rate": 80, "num_mel_bins": 4, "min_freq": 2.0}
STFT = {"frame_length": 8, "fft_length": 8}


def layer_cases() -> list[Case]:
    modes = ("log", "magnitude", "psd", "real", "imag", "angle", "stft")
    cases = [
        single(mode, [20, channels], "STFTSpectrogram", {"mode": mode, **STFT, **how})
        for mode, channels, how in zip(
            modes,
            (1, 2, 1, 2, 1, 2, 2),
            (
                {},
                {"padding": "same", "expand_dims": True},
                {"frame_step": 3},
                {"padding": "same", "frame_step": 5},
                {"expand_dims": True},
                {"frame_step": 8},
                {"frame_step": 3},
            ),
            strict=True,
        )
    ]
    first = {"data_format": "channels_first"}
    cases += [
        single("channels_first", [2, 15], "STFTSpectrogram", {"frame_length": 5, "frame_step": 2, **first}),
        single(
            "channels_first_image",
            [2, 15],
            "STFTSpectrogram",
            {"mode": "magnitude", "frame_length": 6, "expand_dims": True, **first},
        ),
        single("time", [None, 2], "STFTSpectrogram", {"mode": "psd", **STFT, "frame_step": 4}, time=19),
    ]
    for label, how in {
        "default": {},
        "short": {"sequence_length": 10, "window": "hamming", "max_freq": 30.0},
        "odd": {"fft_length": 15, "sequence_length": 12, "sequence_stride": 4},
        "power": {"power_to_db": False},
        "magnitude": {"mag_exp": 1.0, "power_to_db": False, "window": None},
        "exponent": {"mag_exp": 1.5, "top_db": 10.0, "ref_power": 2.0, "min_power": 0.1},
        "bands": {"num_mel_bins": 6, "min_freq": 8.0, "window": [0.5] * 8 + [1.0] * 8, "top_db": 3.0},
    }.items():
        cases.append(single(label, [42], "MelSpectrogram", {**MEL, **how}, batch=1))
    return cases
