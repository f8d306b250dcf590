"""The page about how records are read says what the code says."""

from model.data.reasons import Reason
from model.records.comparators import FLAG_IGNORED
from model.records.explaining import explain, explain_remark
from model.records.remarks import RemarkCode
from model.records.sources import not_rows
from model.records.sources.fhir_values import ORDINAL_IGNORED
from model.records.times import CLOCK_CHANGE
from tests.documentation.pages import Page

PAGE = Page.read("docs/records.md")
REASONS = {reason.code: reason for reason in Reason if reason is not Reason.KEPT}


def _table(section: str) -> list[tuple[str, str]]:
    """Return the codes and their sentences of all tables of a section."""
    text = PAGE.text.split(f"## {section}\n")[1].split("\n## ")[0]
    cells = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| `")]
    return [(code.strip("`"), sentence) for code, sentence in cells]


def test_every_reason_is_there_with_its_sentence_and_in_its_order() -> None:
    found = [row for row in _table("Why a row was not used") if row[0] in REASONS]
    assert found == [(code, explain(reason)) for code, reason in REASONS.items()]


def test_every_entry_that_never_becomes_a_row_is_there() -> None:
    constants = {value for name, value in vars(not_rows).items() if name.isupper()}
    found = {code for code, _ in _table("Why a row was not used")}
    assert found == constants | set(REASONS)


def test_every_remark_is_there() -> None:
    found = dict(_table("Remarks"))
    assert set(found) == {*RemarkCode, FLAG_IGNORED, CLOCK_CHANGE, ORDINAL_IGNORED}
    for code in (FLAG_IGNORED, CLOCK_CHANGE):
        assert found[code] == explain_remark(code)
