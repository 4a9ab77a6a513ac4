"""How much a file of another program may make us read: bounds for files that are huge, damaged or hostile."""

from __future__ import annotations

from typing import Final


def demand(condition: object, why: str) -> None:
    """Raise ValueError unless what a file says is sound; ``why`` tells what is wrong with it."""
    if not condition:
        raise ValueError(why)


class Budget:
    """The bounds, by kind of file. What exceeds one is refused before memory is taken for it."""

    # ONNX
    FILE: int = 2**31  # bytes of a file: protobuf's limit of a message
    WEIGHTS: int = 2**31 - 2**24  # bytes of a file with its weights: that limit, less room for what an export adds
    FIELDS: int = 5_000_000  # fields of messages; a network of ten thousand operators has about 300,000
    NODES: int = 200_000  # nodes, with local functions written out
    DEPTH: int = 16  # graphs in graphs, functions in functions
    RANK: Final = 64
    NAME: Final = 1 << 12  # bytes of a name, in ONNX files and those of safetensors
    NAMES: Final = 1 << 27  # bytes of all names
    TEXT: Final = 1 << 16  # bytes of a description
    METADATA: Final = 160 << 20  # bytes of all metadata: a spec, and vocabularies of 128 MiB

    # Files of arrays
    ARRAYS: int = 50_000  # arrays of a file whose arrays have names
    AXES: Final = 32
    HEADER: Final = 1 << 24  # bytes of the description before the arrays of a file of safetensors
    DEFLATED: Final = 1100  # how many times larger data can be than what deflate makes of them, at most 1,032

    # Keras
    PROBLEMS: Final = 100  # problems that are reported; a file may have a million
    CONFIG: Final = 64 << 20  # bytes of a configuration, or of another text in an archive
    LEVELS: Final = 200  # levels of lists and objects in a configuration: a nested model takes four
    VALUES: Final = 5_000_000  # values of a configuration
    ENTRIES: int = 10_000  # entries of an archive
    RATIO: Final = 200  # how many times larger an entry may be than its compressed bytes, if it has more than SMALL
    SMALL: Final = 16 << 20
    GROUPS: Final = 200_000  # groups of an HDF5 file
    GROUP_LEVELS: Final = 40  # levels of groups in an HDF5 file
    WEIGHT_NAMES: Final = 100_000  # names of weights of a layer
