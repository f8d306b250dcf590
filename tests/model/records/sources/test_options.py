import pytest

from model.records.errors import SourceError
from model.records.sources.options import SourceFormat, SourceOptions, parse_columns


def test_columns_are_read_as_the_command_line_has_them() -> None:
    assert parse_columns(" time = chart time ,value=a=b") == {"time": "chart time", "value": "a=b"}
    assert parse_columns("") == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("time", "expected ours=theirs, such as time=charttime, found `time`"),
        ("time=", "expected ours=theirs"),
        ("=a", "expected ours=theirs"),
        ("tme=a", "there is no column `tme`; expected one of: subject_id, time, variable"),
        ("time=a,time=b", "the column `time` is given twice"),
        ("time=a,value=a", "`a` cannot be two columns at once"),
    ],
)
def test_a_fault_is_named(text: str, message: str) -> None:
    with pytest.raises(SourceError, match="--columns") as caught:
        parse_columns(text)
    assert message in str(caught.value)


def test_options_check_their_columns() -> None:
    with pytest.raises(SourceError, match="there is no column `x`"):
        SourceOptions(format=SourceFormat.CSV, columns={"x": "y"})


def test_formats_have_names_for_sentences() -> None:
    assert [one.label for one in (SourceFormat.CSV, SourceFormat.PARQUET)] == ["CSV", "Parquet"]
    assert not SourceFormat.FHIR.is_table
