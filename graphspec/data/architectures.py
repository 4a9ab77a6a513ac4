"""Well-known networks to start from: their specs by name, and one of them for the pictures or texts of a folder."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from importlib.resources import files

from graphspec.base.errors import UsageError, did_you_mean, shorten
from graphspec.base.libraries import missing_library
from graphspec.data.fill import changed
from graphspec.data.folders import Folder
from graphspec.data.pictures import fitted, look
from graphspec.data.profile import profile_files

# purposes for which a folder for each class has all that a network needs, and its files
FOR_FOLDERS = {"the class of a picture": "images", "the class of a text": "texts"}
_BATCH = 32  # rows at most: large networks need much memory for each
_STEP, _LEAST = 32, 64  # pixels of a side: most networks halve them five times, and see little of fewer than 64
_PURPOSE = re.compile(r"^description: (?:>-\s+)?(.+?),\s+by\s", re.M | re.S)
_SCALED = re.compile(r"layers:.*\n +- \{?name: \w+,?\s+type: (?:Rescaling|Normalization)\b")  # by the first layer
_MOMENTUM = re.compile(r"(?<=type: BatchNormalization)(, momentum: [\d.]+)?")  # made for many steps


def architectures() -> dict[str, str]:
    """Return the specs of all well-known networks by name, as templates: with ``NAME`` and ``SCHEMA``."""
    package = files("graphspec")
    places = (package.joinpath("architectures"), package.joinpath("..", "specs", "architectures"))  # wheel, checkout
    found = sorted(next(p for p in places if p.is_dir()).iterdir(), key=lambda file: file.name)
    texts = {f.name.removesuffix(".yaml"): f.read_text(encoding="utf-8") for f in found if f.name.endswith(".yaml")}
    schema = "../../schemas/graphspec.schema.json"
    return {
        name: changed(text, {schema: "SCHEMA", f"\nname: {name}\n": "\nname: NAME\n"}) for name, text in texts.items()
    }


def purpose(spec: str) -> str:
    """Return what a well-known network is for: the beginning of its description."""
    text = " ".join(_PURPOSE.findall(spec)[0].split())
    return str(text[0].lower() + text[1:])


def meant(name: str, known: dict[str, str]) -> str:
    """Return the name that is meant: letters and digits count, and those of one name alone are enough: ``vit``.

    Raises UsageError: there is none, or there are several.
    """
    asked = re.sub(r"[\W_]", "", name.lower())
    for fits in (str.__eq__, str.startswith, str.__contains__):
        if found := [each for each in known if fits(each.replace("_", ""), asked)]:
            break
    if len(found) == 1:
        return found[0]
    hint = f"which of {', '.join(found)}?" if found else did_you_mean(name, known) or f"there are {', '.join(known)}"
    raise UsageError(f"--like {shorten(name)}: {'several networks are meant' if found else 'no such network'}; {hint}")


def behind(template: str, folder: Folder, counts: Counter[tuple[int, int]], spec: str) -> str:
    """Return a filled template of pictures or texts with the layers of a well-known network.

    What the files decide is the template's: inputs, labels, training and data. Pictures get the smallest size that may do;
    :func:`sizes` yields larger ones.

    Raises UsageError: no picture can be read.
    """
    own, parts, rate = _sections(spec), _sections(template), 0.001
    [source], [head] = (re.findall(rf"^{key}:\n  (\w+):", own[key]) for key in ("inputs", "outputs"))
    [classes] = re.findall(r"name: kind, type: Dense, units: (\d+)", parts["layers"])
    fitting = {"classes": int(classes)}
    if folder.kind == "text":
        words, longest = profile_files(folder).words, _variable("longest", own["vars"])
        length = ', output_sequence_length: "${longest}"' if longest else ""
        front = f'  - {{name: words, type: TextVectorization, max_tokens: "${{words}}"{length}}}  # learnt\n'
        fitting["longest"] = longest if words is None else min(max(words[1], 1), longest)
        training = parts["training"]
    elif not counts:
        ask = f"are they pictures, and is Pillow installed? {missing_library('pillow')}"
        raise UsageError(f"no picture of {folder.folder} can be read: {ask}")
    else:
        found, published = look(folder, counts), _variable("size", own["vars"])
        fitting["size"] = min(max(-(-max(found.height, found.width) // _STEP) * _STEP, _LEAST), published)
        filled = _sections(fitted(template, found, len(folder.paths), _BATCH))
        names = f"resized|flipped{'' if _SCALED.match(own['layers']) else '|scaled'}"
        front = "".join(re.findall(rf"(?m)^  - \{{name: (?:{names}),.*\n", filled["layers"]))
        resized = f'height: "${{size}}", width: "${{size}}"}}  # {published} when published: more to see, slower'
        front, training = re.sub(r"height: \d+, width: \d+\}", resized, front), filled["training"]
        if "Normalization" not in own.get("blocks", ""):
            rate = 0.0001  # deep networks without it learn nothing in larger steps
        own = {key: _MOMENTUM.sub(", momentum: 0.9", text) for key, text in own.items()}
    for name, value in fitting.items():
        own["vars"] = re.sub(rf"\b{name}: \d+", f"{name}: {value}", own["vars"])
    last = re.findall(r"name: (\w+)", front)[-1]
    front += own["layers"].partition("\n")[2]
    one = rf"(?<=name: {head}, type: Dense, units: )1, activation: sigmoid"  # of two classes
    for old, new in ((rf"\binputs: {source}\b", f"inputs: {last}"), (one, f"{classes}, activation: softmax")):
        front = re.sub(old, new, front)
    own |= {key: parts[key] for key in ("inputs", "data")} | {
        "layers": parts["layers"].partition("\n")[0] + "\n" + front,
        "outputs": parts["outputs"].replace("  kind:", f"  {head}:"),
        "training": re.sub(r"(?<=learning_rate: )0\.\d+", f"{rate}", training) + "\n" * (not training.endswith("\n\n")),
    }
    return "".join(own.values()).replace("stratify: kind", f"stratify: {head}")


def sizes(filled: str, spec: str) -> Iterator[str]:
    """Yield a filled spec, with larger and larger pictures up to the size that its network was published with."""
    first, last = (_variable("size", _sections(text).get("vars", "")) for text in (filled, spec))
    for side in [*range(first, last, _STEP), last]:
        yield filled.replace(f"size: {first}", f"size: {side}", 1)


def _variable(name: str, text: str) -> int:
    """Return the number of a variable; 0 without it."""
    found = re.search(rf"\b{name}: (\d+)", text)
    return int(found[1]) if found is not None else 0


def _sections(spec: str) -> dict[str, str]:
    """Return the parts of a spec's text by their keys; what stands above the first has an empty one."""
    parts = re.split(r"(?m)^(?=\w+:)", spec)
    return {part.partition(":")[0] if k else "": part for k, part in enumerate(parts)}
