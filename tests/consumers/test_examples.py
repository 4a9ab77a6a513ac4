"""The apps of `examples/`, with files that are exported here: pages in Chromium, the service in Node, the job in Python."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import chdir, closing
from http.client import HTTPConnection
from pathlib import Path

import numpy as np
import pytest
from browsing import shown
from commands import graphspec
from consumers.apps import HERE, browser, node_with
from paths import ROOT

import graphspec as gs
from graphspec.graph.onnx_session import session
from tools.browser import opened

pytestmark = pytest.mark.slow

EXAMPLES = ROOT / "examples"
ORT = HERE / "node" / "node_modules" / "onnxruntime-web" / "dist"


def copied(name: str, folder: Path) -> Path:
    ignored = shutil.ignore_patterns("*.onnx", "node_modules", "runs", "ort")
    shutil.copytree(EXAMPLES / name, folder, dirs_exist_ok=True, ignore=ignored)
    return folder


def with_ort(folder: Path) -> Path:
    (folder / "ort").mkdir()
    for name in ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"):
        shutil.copyfile(ORT / name, folder / "ort" / name)
    return folder


# The drawing pad.


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The drawing pad with a network of a few epochs."""
    folder = copied("drawing-pad", tmp_path_factory.mktemp("pad"))
    model = gs.compile(folder / "digits.yaml", ["training.epochs=25"])
    model.fit(verbose=0)
    assert model.evaluate()["accuracy"] > 0.9
    model.export(folder / "digits.onnx")
    model.save(folder / "runs" / "digits")
    return folder


STROKES = {  # as a person draws them on 320 by 320 pixels
    "1": [[(140, 90), (170, 50), (170, 150), (170, 270)]],
    "0": [[(160 + 70 * np.sin(t), 160 - 110 * np.cos(t)) for t in np.linspace(0, 2 * np.pi, 25)]],
    "7": [[(90, 60), (220, 60), (130, 270)], [(120, 165), (210, 165)]],
    "3": [
        [
            *((160 + 60 * np.sin(t), 105 - 50 * np.cos(t)) for t in np.linspace(-1.2, 3.1, 14)),
            *((160 + 70 * np.sin(t), 215 - 60 * np.cos(t)) for t in np.linspace(0.1, 4.3, 14)),
        ]
    ],
}


@pytest.mark.parametrize("digit", STROKES)
def test_a_drawing_is_recognised(digits: Path, tmp_path: Path, digit: str) -> None:
    node_with("onnxruntime-web")
    chromium, folder = browser(), with_ort(copied("drawing-pad", tmp_path))
    shutil.copyfile(digits / "digits.onnx", folder / "digits.onnx")
    strokes = [[(float(x), float(y)) for x, y in stroke] for stroke in STROKES[digit]]
    drawing = (folder / "index.html").read_text(encoding="utf-8") + _drawn(strokes)
    (folder / "index.html").write_text(drawing, encoding="utf-8")
    text = shown(chromium, folder, "index.html", lambda text: "This is" in text)
    assert f"This is a {digit}." in text, text


def _drawn(strokes: list[list[tuple[float, float]]]) -> str:
    """A script that draws with the pointer as soon as the page is ready."""
    return f"""<script>
const ready = new MutationObserver(() => {{
  if (document.getElementById("answer").textContent !== "Draw a digit.") return;
  ready.disconnect();
  const pad = document.getElementById("pad");
  const box = pad.getBoundingClientRect();
  const send = (type, [x, y]) => pad.dispatchEvent(new PointerEvent(type, {{ bubbles: true,
    clientX: box.left + x * box.width / 320, clientY: box.top + y * box.height / 320 }}));
  for (const stroke of {json.dumps(strokes)}) {{
    send("pointerdown", stroke[0]);
    for (const point of stroke.slice(1)) send("pointermove", point);
    send("pointerup", stroke.at(-1));
  }}
}});
ready.observe(document.getElementById("answer"), {{ childList: true, subtree: true, characterData: true }});
</script>"""


# The text box.


@pytest.fixture(scope="module")
def reviews(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of reviews, trained on a few made sentences."""
    folder = tmp_path_factory.mktemp("reviews")
    good, bad = ("wonderful", "brilliant", "moving"), ("tedious", "awful", "dull")
    rows = [(f"the {noun} is {word}", word in good) for noun in ("cast", "plot", "end") for word in good + bad] * 8
    lines = [json.dumps({"text": text, "label": int(label)}) for text, label in rows]
    (folder / "reviews.jsonl").write_text("\n".join(lines), encoding="utf-8")
    shutil.copyfile(ROOT / "specs" / "reviews.yaml", folder / "reviews.yaml")
    source = "{file: reviews.jsonl, targets: {positive: label}}"
    sets = [f"data={{train: {source}}}", "training.epochs=40", "training.batch_size=16"]
    model = gs.compile(folder / "reviews.yaml", sets)
    model.fit(verbose=0)
    model.export(folder / "reviews.onnx")
    return folder


@pytest.mark.parametrize(
    ("sentence", "answer"), [("The end is wonderful.", "Praise ("), ("A dull, tedious plot.", "No praise (")]
)
def test_a_sentence_is_answered(reviews: Path, tmp_path: Path, sentence: str, answer: str) -> None:
    node_with("onnxruntime-web")
    chromium, folder = browser(), with_ort(copied("review-box", tmp_path))
    shutil.copyfile(reviews / "reviews.onnx", folder / "reviews.onnx")
    page = (folder / "index.html").read_text(encoding="utf-8")
    page = page.replace("The cast is wonderful, but the plot is a tedious mess.", sentence)
    # the colours of the words are no text: the page says them in its title
    page += """<script>
new MutationObserver(() => {
  const spans = [...document.querySelectorAll("#words span")];
  if (!spans.length || document.getElementById("said")) return;
  const said = document.createElement("pre");
  said.id = "said";
  said.textContent = spans.map((s) => `${s.textContent}=${s.title.replace("−", "-")}`).join("\\n");
  document.body.append(said);
}).observe(document.getElementById("words"), { childList: true });
</script>"""
    (folder / "index.html").write_text(page, encoding="utf-8")
    text = shown(chromium, folder, "index.html", lambda text: "%\n" in text + "\n" and "=" in text)
    assert answer in text
    said = dict(line.split("=") for line in text.splitlines() if "=" in line)
    effects = {word.strip(".,").lower(): float(effect.removesuffix("%")) for word, effect in said.items()}
    strongest = max(effects, key=lambda word: abs(effects[word]))
    assert strongest in ("wonderful", "dull", "tedious")
    assert (effects[strongest] > 0) == answer.startswith("Praise")


# The writer.


def test_a_writer_continues_sentences_as_it_has_read_them(tmp_path: Path) -> None:
    shutil.copyfile(ROOT / "specs" / "gpt.yaml", tmp_path / "gpt.yaml")
    texts = [f"the {noun} is {word}." for noun in ("cast", "plot") for word in ("dull", "wonderful")]
    (tmp_path / "texts.jsonl").write_text(
        "\n".join(json.dumps({"text": text}) for text in texts * 16), encoding="utf-8"
    )
    sets = [f"vars.{name}" for name in ("longest=24", "channels=32", "depth=1")]
    sets += ["data={train: {file: texts.jsonl}}", "training.batch_size=8", "training.epochs=15"]
    model = gs.compile(tmp_path / "gpt.yaml", [*sets, "training.optimizer.learning_rate=0.005"])
    model.fit(verbose=0)
    model.export(tmp_path / "gpt.onnx")
    script = EXAMPLES / "text-writer" / "write.py"
    words = [str(tmp_path / "gpt.onnx"), "--start", "The ca", "--texts", "12", "--temperature", "0.5"]
    found = [
        subprocess.run([sys.executable, str(script), *words], check=True, capture_output=True, text=True).stdout
        for _ in range(2)
    ]
    assert found[0] == found[1], "the seed decides"
    assert set(found[0].splitlines()) == {"the cast is dull.", "the cast is wonderful."}
    refused = subprocess.run([sys.executable, str(script), words[0], "--start", ""], capture_output=True, text=True)
    assert refused.returncode == 2
    assert "--start needs a character" in refused.stderr


# The service and the job.

RECORDS = [
    {
        "island": "Biscoe",
        "bill_length_mm": 46.1,
        "bill_depth_mm": 13.2,
        "flipper_length_mm": None,
        "body_mass_g": 4500,
        "sex": None,
        "year": 2007,
    },
    {
        "island": "Torgersen",
        "bill_length_mm": 39.1,
        "bill_depth_mm": 18.7,
        "flipper_length_mm": 181,
        "body_mass_g": 3750,
        "sex": "male",
        "year": 2007,
    },
]


@pytest.fixture(scope="module")
def penguins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the table of penguins, and a model of it with its signature."""
    folder = tmp_path_factory.mktemp("penguins")
    shutil.copyfile(ROOT / "specs" / "data" / "penguins.csv", folder / "penguins.csv")
    for words in (
        ["init", "penguins.yaml", "--from", "penguins.csv", "--target", "species"],
        [
            "train",
            "penguins.yaml",
            *(w for s in ("epochs=15", "forms=null", "workers=1") for w in ("--set", f"training.{s}")),
        ],
        ["export", "runs/penguins", "-o", "penguins.onnx", "--signature", "penguins.json"],
    ):
        with chdir(folder):
            assert graphspec(*words).exit_code == 0
    return folder


@pytest.fixture
def service(penguins: Path, tmp_path: Path) -> Iterator[Callable[..., tuple[int, object]]]:
    """The service, started: call it with a method, a path and a body."""
    node, folder = node_with("prom-client"), copied("node-service", tmp_path / "service")
    (folder / "node_modules").symlink_to(HERE / "node" / "node_modules", target_is_directory=True)
    started = subprocess.Popen(
        [node, "server.mjs", str(penguins / "penguins.onnx"), str(penguins / "penguins.json")],
        cwd=folder,
        env={**os.environ, "PORT": "0"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert started.stdout is not None
    address = started.stdout.readline().strip().removeprefix("listening on http://")

    def ask(method: str, path: str, body: object = None) -> tuple[int, object]:
        text = body if isinstance(body, str | None) else json.dumps(body)
        with closing(HTTPConnection(address, timeout=60)) as connection:
            connection.request(method, path, text)
            response = connection.getresponse()
            content, is_json = response.read(), response.headers.get_content_type() == "application/json"
            return response.status, json.loads(content) if is_json else content.decode()

    yield ask
    started.terminate()
    with started:
        if os.name == "posix":  # elsewhere a process that is terminated hears nothing
            assert started.wait(60) == 0


def test_the_service_answers_as_predict_does(service: Callable[..., tuple[int, object]], penguins: Path) -> None:
    model = gs.load(penguins / "runs" / "penguins")
    columns = {name: [record[name] for record in RECORDS] for name in RECORDS[0]}
    expected = model.predict({name: np.array(values, object)[:, None] for name, values in columns.items()})
    status, answers = service("POST", "/predict", RECORDS)
    assert status == 200
    labels = model.labels["species"]
    for answer, row in zip(answers, expected, strict=True):  # type: ignore[call-overload]
        assert answer["species_label"] == labels[int(row.argmax())]
        np.testing.assert_allclose([answer["species"][label] for label in labels], row, rtol=1e-4, atol=1e-6)
    status, one = service("POST", "/predict", RECORDS[1])
    assert status == 200
    assert one["species_label"] == answers[1]["species_label"]  # type: ignore[index]
    together = list(answers[1]["species"].values())  # type: ignore[index]
    np.testing.assert_allclose(list(one["species"].values()), together, rtol=1e-4)  # type: ignore[index]
    assert service("GET", "/health") == (200, {"status": "ok", "name": "penguins", "waiting": 0})
    assert service("GET", "/signature")[1] == json.loads((penguins / "penguins.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"island": 3}, "record 2: 'island' is a number, not a string"),
        ({"year": "2007"}, "record 2: 'year' is a string, not a number"),
        ({"bill_length_mm": [1]}, "record 2: 'bill_length_mm' is a list, not a number"),
        ({"Bill-lenght mm": 1}, "record 2: 'Bill-lenght mm' is no input; did you mean 'bill_length_mm'?"),
        ({"years": 1}, "record 2: 'years' is no input; did you mean 'year'?"),
        ({"y" * 1_000_000: 1}, f"record 2: '{'y' * 1_000_000}' is no input; the inputs are island"),
        ({"colour": "red"}, "record 2: 'colour' is no input; the inputs are "),
    ],
)
def test_the_service_says_what_is_wrong(
    service: Callable[..., tuple[int, object]], change: dict[str, object], error: str
) -> None:
    status, answer = service("POST", "/predict", [RECORDS[0], RECORDS[1] | change])
    assert status == 400
    assert answer["error"].startswith(error)  # type: ignore[index]


def test_the_service_refuses_what_is_no_request(service: Callable[..., tuple[int, object]]) -> None:
    lacking = {key: value for key, value in RECORDS[0].items() if key != "sex"}
    for body, error in (
        ("{", "the request is no JSON: "),
        ([], "send one record at least"),
        ([3], "a record is an object"),
        (lacking, "'sex' is not there; a missing value is null"),
        (" " * 4_000_001, "the request has more than 4000000 bytes"),
    ):
        status, answer = service("POST", "/predict", body)
        assert status == 400
        assert answer["error"].startswith(error)  # type: ignore[index]
    status, answer = service("GET", "/")
    assert status == 404
    assert "POST /predict" in answer["error"]  # type: ignore[index]


_SAMPLE = re.compile(r"(?P<name>[a-zA-Z_:][\w:]*)(?P<labels>\{[^}]*\})? (?P<value>[-+]?(\d[\d.e+-]*|Inf)|NaN)")


def test_the_service_counts_for_prometheus(service: Callable[..., tuple[int, object]], penguins: Path) -> None:
    service("POST", "/predict", RECORDS)
    service("POST", "/predict", RECORDS[0])
    service("POST", "/predict", "{")
    service("GET", "/nowhere")
    service("GET", "/toString")
    status, text = service("GET", "/metrics")
    samples, described = dict[str, float](), set[str]()
    for line in str(text).splitlines():
        if line.startswith("#"):
            described.add(line.split(" ")[2])
        elif line:
            sample = _SAMPLE.fullmatch(line)
            assert sample is not None, line
            assert any(sample["name"].startswith(name) for name in described)
            samples[sample["name"] + (sample["labels"] or "")] = float(sample["value"])
    counts = {key: value for key, value in samples.items() if key.startswith("request_duration_seconds_count")}
    assert (status, list(counts.values())) == (200, [2, 1, 2])
    assert [key.removeprefix("request_duration_seconds_count") for key in counts] == [
        '{route="POST /predict",status="200"}',
        '{route="POST /predict",status="400"}',
        '{route="other",status="404"}',
    ]
    assert (samples["records_answered_total"], samples["records_waiting"]) == (3, 0)
    assert samples["batch_records_sum"] == 3
    assert samples["process_resident_memory_bytes"] > 1e6
    file = hashlib.sha256((penguins / "penguins.onnx").read_bytes()).hexdigest()
    assert any(key.startswith("model_info") and file in key for key in samples)


def _job(folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, str(EXAMPLES / "batch-job" / "score.py"), *map(str, words)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, encoding="utf-8")


def test_the_job_answers_a_table_and_puts_bad_rows_aside(penguins: Path, tmp_path: Path) -> None:
    with (penguins / "penguins.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    rows[3][2], rows[7][3] = "many", "inf"
    rows = [[*row, row[0]] for row in rows]
    rows[0][-1] = "species_label"  # the table has a column with the name of an answer
    with (tmp_path / "table.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    done = _job(tmp_path, penguins / "penguins.onnx", "table.csv", "answers.csv", "--rows-per-call", 100)
    assert done.returncode == 1, done.stderr
    assert done.stdout == "answers.csv: 342 rows; answers.rejects.csv: 2 rows\n"
    with (tmp_path / "answers.csv").open(encoding="utf-8", newline="") as file:
        answers = list(csv.DictReader(file))
    good = [dict(zip(rows[0], row, strict=True)) for k, row in enumerate(rows) if k not in (0, 3, 7)]
    assert [{name: row[name] for name in rows[0]} for row in answers] == good
    right = sum(row["species_label_answer"] == row["species"] for row in answers)
    assert right / len(answers) > 0.9
    with (tmp_path / "answers.rejects.csv").open(encoding="utf-8", newline="") as file:
        reasons = [row["reason"] for row in csv.DictReader(file)]
    assert reasons == [
        "'bill_length_mm' is 'many', which is no float32",
        "'bill_depth_mm' is 'inf', which is no float32",
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["answers.csv", "answers.rejects.csv", "table.csv"]


def test_the_job_writes_nothing_for_a_wrong_table_or_file(penguins: Path, tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("island,year\nBiscoe,2007\n", encoding="utf-8")
    (tmp_path / "text.onnx").write_text("text", encoding="utf-8")
    done = _job(tmp_path, penguins / "penguins.onnx", "table.csv", "answers.csv")
    assert done.returncode == 2
    assert done.stderr == "error: the table has no column 'bill_length_mm'; its columns are island, year\n"
    done = _job(tmp_path, "text.onnx", "table.csv", "answers.csv")
    assert done.returncode == 2
    assert "text.onnx is no ONNX file" in done.stderr
    done = _job(tmp_path, penguins / "penguins.onnx", "nothing.csv", "answers.csv")
    assert done.returncode == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["table.csv", "text.onnx"]


def test_the_readme_lists_every_example() -> None:
    text = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    for folder in EXAMPLES.iterdir():
        if folder.is_dir():
            assert f"({folder.name}/README.md)" in text
            assert (folder / "README.md").is_file()


# Signs of one's own.

LINES = {  # on a square of side 1
    "cross": [[(0.2, 0.2), (0.8, 0.8)], [(0.2, 0.8), (0.8, 0.2)]],
    "circle": [[(0.5 + 0.35 * np.sin(t), 0.5 + 0.35 * np.cos(t)) for t in np.linspace(0, 6.3, 25)]],
    "corner": [[(0.2, 0.2), (0.2, 0.8), (0.8, 0.8)]],
}
DRAW = """((lines) => {
  const pad = document.querySelector("canvas"), frame = pad.getBoundingClientRect();
  [...document.querySelectorAll("button")].find((each) => each.textContent === "Empty the pad").click();
  pad.setPointerCapture = () => {};
  const send = (kind, [x, y]) => {
    const place = { clientX: frame.left + x * frame.width, clientY: frame.top + y * frame.height };
    pad.dispatchEvent(new PointerEvent(kind, place));
  };
  for (const line of lines) {
    send("pointerdown", line[0]);
    line.forEach((point) => send("pointermove", point));
    send("pointerup", line.at(-1));
  }
})"""
PRESS = """(async (text, k) => {
  [...document.querySelectorAll("button")].filter((each) => each.textContent === text)[k].click();
  await new Promise((done) => setTimeout(done, 60));
})"""


def test_signs_of_ones_own(digits: Path, tmp_path: Path) -> None:
    """Draw, name, learn and save as a visitor does; the spec with the saved weights answers as the page."""
    folder, random = copied("own-signs", tmp_path / "own-signs"), np.random.default_rng(1)
    (folder / "runs").mkdir()
    shutil.copytree(digits / "runs" / "digits", folder / "runs" / "digits")

    def drawn(sign: str) -> str:
        size, place = random.uniform(0.7, 1.1), random.uniform(-0.1, 0.1, 2)
        lines = [0.5 + size * (np.array(line) - 0.5) + place for line in LINES[sign]]
        return f"{DRAW}({json.dumps([line.clip(0.05, 0.95).tolist() for line in lines])}); 0"

    with chdir(folder):
        words = ["page", "runs/digits", "--learn", "--engine", ORT.parent]
        assert graphspec(*words).exit_code == 0
        with opened(browser()) as page:
            page.open(folder / "page" / "index.html", 1200)
            page.run("ready")
            page.run(f"{PRESS}('Another name', 0)")
            for k, sign in enumerate(LINES):
                name = f"document.querySelectorAll('#learn-names input[type=text]')[{k}]"
                page.run(f"{name}.value = '{sign}'; {name}.dispatchEvent(new Event('input')); 0")
                for _ in range(8):
                    page.run(drawn(sign))
                    page.run(f"{PRESS}('Add what the form shows', {k})")
            page.run(f"{PRESS}('Learn', 0)")
            page.run("(async () => { while (!own || busy) await new Promise((done) => setTimeout(done, 50)); })()")
            assert "Of 6 examples that were held back, 6 are named right" in page.run("at('learn-state').innerText")
            (folder / "own.safetensors").write_bytes(bytes(page.run("[...safetensors()]")))
            found = []
            for sign in LINES:
                page.run(drawn(sign))
                page.run("(async () => { while (busy) await new Promise((done) => setTimeout(done, 20)); })()")
                assert page.run("at('answers').innerText").split()[:4] == ["Your", "own", "names", sign]
                found.append(page.run("featuresOf([recordOf()]).then(([each]) => [recordOf().image, sharesOf(each)])"))
            assert page.errors == []
        assert graphspec("export", "signs.yaml", "-o", "signs.onnx").exit_code == 0
    pictures = np.array([picture for picture, _ in found], np.uint8)
    answers, labels = session(folder / "signs.onnx").run(["sign", "sign_label"], {"image": pictures})
    assert labels.tolist() == list(LINES)
    np.testing.assert_allclose(answers, [shares for _, shares in found], atol=1e-5)
