"""Let a network write on, one character after the other.

    python write.py MODEL.onnx [--start "the film"] [--texts 3] [--temperature 0.7] [--seed 0]

The model reads texts and answers, at each character, how probable each next one is. A text ends with the label "", or when
the network reads no more characters. It needs onnxruntime and NumPy, not graphspec.
"""

import argparse
import json
import os
import sys

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # else onnxruntime writes to the home directory, and sends figures

import numpy as np
import onnxruntime


class Writer:
    """An exported file that reads texts and answers with probabilities of characters."""

    def __init__(self, path):
        self.session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        signature = json.loads(self.session.get_modelmeta().custom_metadata_map["graphspec.signature"])
        [self.input] = [entry["name"] for entry in signature["inputs"]]
        self.output, labelled = signature["outputs"]
        self.longest = self.output["shape"][1]
        self.alphabet = labelled["labels"]
        self.writable = np.array([len(character) <= 1 for character in self.alphabet])  # "[UNK]" is no character

    def next(self, texts):
        """Return the probability of each character of the alphabet after each text, shape (texts, alphabet)."""
        [answers] = self.session.run([self.output["name"]], {self.input: np.array(texts, object)[:, None]})
        return answers[np.arange(len(texts)), [len(text) - 1 for text in texts]]

    def write(self, texts, temperature, random):
        """Return the texts with what the network adds to them.

        A low temperature prefers what is probable; 1 takes the probabilities as they are.
        """
        done, texts = [False] * len(texts), [text[: self.longest] for text in texts]
        while open_ := [k for k, text in enumerate(texts) if not done[k] and len(text) < self.longest]:
            weights = (self.next([texts[k] for k in open_]) * self.writable).astype(np.float64) ** (1 / temperature)
            for k, row in zip(open_, weights, strict=True):
                character = self.alphabet[random.choice(len(row), p=row / row.sum())]
                texts[k] += character
                done[k] = character == ""
        return texts


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--start", default="the film", help="the first characters of each text")
    parser.add_argument("--texts", type=int, default=3)
    parser.add_argument("--temperature", type=float, default=0.7)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    if not given.start or not given.temperature > 0:
        parser.error("--start needs a character, and --temperature a number above 0")
    random = np.random.default_rng(given.seed)
    for text in Writer(given.model).write([given.start.lower()] * given.texts, given.temperature, random):
        print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
