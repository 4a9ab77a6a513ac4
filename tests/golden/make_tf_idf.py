"""Write ``tf_idf.json``: what scikit-learn's TfidfVectorizer makes of some texts. It needs scikit-learn 1.9.

python tests/golden/make_tf_idf.py
"""

import json
from pathlib import Path

from sklearn.feature_extraction.text import TfidfVectorizer

TRAINING = [
    "The cat sat, the CAT ran fast.",
    "a dog  ran\tfast fast fast",
    "Élan vital élan",
    "x",
    "don't stop the dog\n\nnow",
    "",
]
TEXTS = [*TRAINING, "zzz the unseen cats", "fast", "   ", "Ran! ran? (ran)"]
WAYS = {
    "words": {"ngram_range": (1, 2), "token_pattern": r"[^\s,.!?()](?:[^\s]*[^\s,.!?()])?"},
    "runs": {"analyzer": "char_wb", "ngram_range": (2, 5)},
}

cases = []
for way, options in WAYS.items():
    for sublinear in (False, True):
        for norm in ("l2", None):
            if norm is None and not sublinear:
                continue
            model = TfidfVectorizer(sublinear_tf=sublinear, norm=norm, smooth_idf=True, **options).fit(TRAINING)
            names = model.get_feature_names_out().tolist()
            rows = [
                {names[k]: round(float(v), 7) for k, v in zip(row.indices, row.data, strict=True)}
                for row in model.transform(TEXTS)
            ]
            cases.append(
                {"way": way, "sublinear_tf": sublinear, "norm": norm, "vocabulary": names}
                | {"idf_weights": [round(float(w), 7) for w in model.idf_], "rows": rows}
            )
content = {"training": TRAINING, "texts": TEXTS, "cases": cases}
Path(__file__).with_name("tf_idf.json").write_text(json.dumps(content, ensure_ascii=False) + "\n", encoding="utf-8")
