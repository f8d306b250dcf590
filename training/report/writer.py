"""Writes the files of a report."""

import json
from pathlib import Path

from model.files import write_atomically
from model.runtime.predictor import Predictor
from training.evaluation import Answers, Evaluation
from training.home import HomeComparison
from training.report.content import Content
from training.report.examples import draw_examples
from training.report.metrics import metrics_json
from training.report.page import report_page
from training.report.provenance import Provenance


def write_report(
    out: Path,
    *,
    evaluation: Evaluation,
    answers: Answers,
    predictor: Predictor,
    provenance: Provenance,
    seed: int,
    home: HomeComparison | None = None,
) -> None:
    """Write `metrics.json` and `report.html` into `out`, which is made if it is not there.

    `home` compares with the scores at home where this is another data set. The page holds the
    measurements of up to six series, chosen by `seed`; `metrics.json` holds none.
    """
    examples = draw_examples(answers, predictor, predictor.artifact.catalogue, seed=seed)
    content = Content.of(evaluation, provenance, examples=examples, home=home)
    metrics, page = metrics_json(content), report_page(content)
    out.mkdir(parents=True, exist_ok=True)
    figures = json.dumps(metrics, indent=1, allow_nan=False) + "\n"
    write_atomically(out / "metrics.json", figures.encode())
    write_atomically(out / "report.html", page.encode())
