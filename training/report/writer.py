"""Writes the files of a report."""

import json
from pathlib import Path

from model.runtime.predictor import Predictor
from training.evaluation import Answers, Evaluation
from training.report.examples import draw_examples
from training.report.metrics import metrics_json
from training.report.page import report_page
from training.report.provenance import Provenance
from training.report.scores import gap_scores, interval_widths, variable_scores


def write_report(
    out: Path,
    *,
    evaluation: Evaluation,
    answers: Answers,
    predictor: Predictor,
    provenance: Provenance,
    seed: int,
) -> None:
    """Write `metrics.json` and `report.html` into `out`, which is made if it is not there.

    The page holds the measurements of up to six series, chosen by `seed`; `metrics.json` holds none.
    """
    catalogue = predictor.artifact.catalogue
    scores = variable_scores(evaluation, catalogue)
    gaps, widths = gap_scores(answers), interval_widths(answers, catalogue)
    examples = draw_examples(answers, predictor, catalogue, seed=seed)
    metrics = metrics_json(evaluation, scores, gaps, widths, provenance)
    page = report_page(evaluation, scores, gaps, widths, examples, provenance)
    out.mkdir(parents=True, exist_ok=True)
    (out / "metrics.json").write_text(
        json.dumps(metrics, indent=1, allow_nan=False) + "\n", encoding="utf-8"
    )
    (out / "report.html").write_text(page, encoding="utf-8")
