"""The report of an evaluation: `metrics.json` for programs, one HTML page and a summary for people."""

from training.report.provenance import Provenance as Provenance
from training.report.summary import write_summary_markdown as write_summary_markdown
from training.report.truth_report import write_truth_report as write_truth_report
from training.report.truth_report import write_truth_summary as write_truth_summary
from training.report.writer import write_report as write_report
