"""FHIR: what an Observation and a Patient say, and what is counted instead."""

import gzip
import json
import math
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.data.variables import Catalogue, Static, Variable
from model.records.codes import CodeMap, Target
from model.records.errors import SourceError
from model.records.rows import TimeKind
from model.records.sources.options import SourceFormat, SourceOptions
from tests.model.records.sources.fhir_cases import (
    LOINC,
    UCUM,
    Read,
    coded,
    observation,
    quantity,
    read,
    read_file,
)


def _micros(text: str) -> int:
    moment = datetime.fromisoformat(text)
    return int(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()) * 1_000_000


def test_a_quantity_is_a_row_with_everything_that_it_says(tmp_path: Path) -> None:
    row = read(tmp_path, observation(meta={"versionId": "3"})).only
    assert row["subject_id"] == "1"
    assert (row["variable"], row["value"], row["unit"]) == ("8867-4", 92.0, "/min")
    assert row["time_kind"] == TimeKind.INSTANT
    assert row["microseconds"] == _micros("2026-03-01T09:00:00+00:00")
    assert (row["record_id"], row["comparator"], row["text"]) == ("o1", 0, None)
    assert not row["is_withdrawn"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"status": "preliminary"}, "status_not_final"),
        ({"status": "registered"}, "status_not_final"),
        ({"status": "unknown"}, "status_not_final"),
        ({"status": None}, "status_not_final"),
        ({"status": ["final"]}, "status_not_final"),
        ({"modifierExtension": [{"url": "x"}]}, "modified_meaning"),
        ({"implicitRules": "http://x"}, "modified_meaning"),
        ({"focus": [{"reference": "Patient/fetus"}]}, "other_focus"),
        ({"dataAbsentReason": coded("unknown")}, "missing_value"),
        ({"dataAbsentReason": coded("unknown"), "valueQuantity": None}, "missing_value"),
        ({"subject": {"reference": "Group/1"}}, "subject_not_a_patient"),
        ({"subject": {"reference": "Device/1"}}, "subject_not_a_patient"),
        ({"subject": {"reference": "1", "type": "Location"}}, "subject_not_a_patient"),
        ({"subject": {"reference": "#p"}}, "subject_not_a_patient"),
        ({"subject": {"identifier": {"value": "7"}}}, "subject_by_identifier"),
        ({"subject": {"reference": "Patient?identifier=7"}}, "subject_by_identifier"),
        ({"effectiveDateTime": None, "issued": "2026-03-01T10:00:00Z"}, "issued_only"),
        ({"effectiveDateTime": None, "effectiveTiming": {}}, "timing_not_used"),
        (
            {"effectiveDateTime": None, "effectivePeriod": {"start": "2026-03-01T08:00:00Z"}},
            "period_without_end",
        ),
        ({"code": None}, "unknown_variable"),
        ({"code": {"coding": [{"system": LOINC}]}}, "unknown_variable"),
        ({"valueQuantity": None}, "missing_value"),
        ({"valueQuantity": {"unit": "/min"}}, "missing_value"),
        (
            {"valueQuantity": None, "hasMember": [{"reference": "Observation/2"}]},
            "panel_without_value",
        ),
        ({"valueQuantity": quantity(5, comparator="ad")}, "modified_meaning"),
        ({"valueQuantity": None, "valueRange": {"low": {"value": 1}}}, "value_type_not_used"),
        ({"valueQuantity": None, "valueRatio": {}}, "value_type_not_used"),
        ({"valueQuantity": None, "valueSampledData": {}}, "value_type_not_used"),
        ({"valueQuantity": None, "valueBoolean": True}, "value_type_not_used"),
        ({"valueQuantity": [1]}, "value_type_not_used"),
        (
            {
                "valueQuantity": None,
                "_valueString": {
                    "extension": [
                        {"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason"}
                    ]
                },
            },
            "missing_value",
        ),
    ],
)
def test_what_is_not_used_is_counted_by_its_reason(
    tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    found = read(tmp_path, observation(**change))
    assert (found.rows, found.ignored) == ([], {reason: 1})


def test_other_resources_are_counted(tmp_path: Path) -> None:
    found = read(tmp_path, {"resourceType": "Encounter"}, {}, observation())
    assert (len(found.rows), found.ignored) == (1, {"other_resource": 2})


@pytest.mark.parametrize(
    ("reference", "subject"),
    [
        ("Patient/1", "1"),
        ("https://host/fhir/Patient/1", "1"),
        ("Patient/1/_history/3", "1"),
        ("urn:uuid:1", "1"),
    ],
)
def test_one_patient_is_one_subject(tmp_path: Path, reference: str, subject: str) -> None:
    assert (
        read(tmp_path, observation(subject={"reference": reference})).only["subject_id"] == subject
    )


def test_an_observation_without_a_subject_is_a_row_without_one(tmp_path: Path) -> None:
    assert read(tmp_path, observation(subject=None)).only["subject_id"] is None


def test_an_amount_is_known_when_its_period_ends(tmp_path: Path) -> None:
    period = {"start": "2026-03-01T08:00:00Z", "end": "2026-03-02T08:00:00Z"}
    row = read(tmp_path, observation(effectiveDateTime=None, effectivePeriod=period)).only
    assert row["microseconds"] == _micros("2026-03-02T08:00:00+00:00")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("2026-03-01T10:00:00Z", TimeKind.INSTANT),
        ("2026-03-01T10:00:00", TimeKind.LOCAL),
        ("2026-03-01", TimeKind.DATE),
        ("2026-03", TimeKind.DATE),
        ("2026", TimeKind.DATE),
        ("12.5", TimeKind.INVALID),
        ("yesterday", TimeKind.INVALID),
        (None, TimeKind.MISSING),
    ],
)
def test_a_time_has_the_kind_that_is_written(
    tmp_path: Path, text: str | None, kind: TimeKind
) -> None:
    row = read(tmp_path, observation(effectiveDateTime=text)).only
    assert (row["time_kind"], row["hours"]) == (kind, 0.0)


@pytest.mark.parametrize(
    ("change", "value", "comparator", "unit", "text"),
    [
        ({"valueQuantity": quantity(0.01, comparator="<")}, 0.01, -1, "/min", None),
        ({"valueQuantity": quantity(100, comparator=">=")}, 100.0, 1, "/min", None),
        ({"valueQuantity": {"value": 5, "unit": "mg/dl"}}, 5.0, 0, "mg/dl", None),
        (
            {"valueQuantity": {"value": 5, "unit": "mmHg", "system": "http://x", "code": "259"}},
            5.0,
            0,
            "mmHg",
            None,
        ),
        ({"valueQuantity": {"value": 5, "code": "mg/dL"}}, 5.0, 0, "mg/dL", None),
        ({"valueQuantity": {"value": "5.5"}}, 5.5, 0, None, None),
        ({"valueQuantity": {"value": 5}}, 5.0, 0, None, None),
        ({"valueString": "<0.01"}, 0.01, -1, None, None),
        ({"valueString": "LESS THAN 10"}, 10.0, -1, None, None),
        ({"valueString": "7.25"}, 7.25, 0, None, None),
        ({"valueString": "hemolyzed"}, math.nan, 0, None, "hemolyzed"),
        ({"valueInteger": 3}, 3.0, 0, None, None),
        ({"valueCodeableConcept": {"text": "No response"}}, math.nan, 0, None, "No response"),
        (
            {"valueCodeableConcept": {"coding": [{"code": "x", "display": "Never  smoker"}]}},
            math.nan,
            0,
            None,
            "Never smoker",
        ),
    ],
)
def test_a_value_is_what_it_says(
    tmp_path: Path,
    change: dict[str, Any],
    value: float,
    comparator: int,
    unit: str | None,
    text: str | None,
) -> None:
    row = read(tmp_path, observation(**({"valueQuantity": None} | change))).only
    assert row["value"] == pytest.approx(value, nan_ok=True)
    assert (row["comparator"], row["unit"], row["text"]) == (comparator, unit, text)


def test_flags_and_orders_are_remarks(tmp_path: Path) -> None:
    url = "http://hl7.org/fhir/StructureDefinition/ordinalValue"
    answer = {"coding": [{"display": "To pain", "extension": [{"url": url, "valueDecimal": 2}]}]}
    found = read(
        tmp_path,
        observation(valueQuantity=None, valueString="1.1*"),
        observation(valueQuantity=None, valueCodeableConcept=answer),
    )
    assert found.remarks == {"flag_ignored": 1, "ordinal_ignored": 1}


def test_the_parts_of_a_panel_are_rows_of_one_record(tmp_path: Path) -> None:
    parts = [
        {"code": coded("8480-6"), "valueQuantity": quantity(120, "mm[Hg]")},
        {"code": coded("8462-4"), "dataAbsentReason": coded("error")},
        {"code": coded("8462-4"), "valueQuantity": quantity(80, "mm[Hg]")},
        {
            "code": coded("8478-0"),
            "valueQuantity": quantity(93, "mm[Hg]"),
            "modifierExtension": [{"url": "x"}],
        },
    ]
    found = read(tmp_path, observation(code=coded("85354-9"), valueQuantity=None, component=parts))
    assert found.values == [("8480-6", 120.0), ("8462-4", 80.0)]
    assert found.ignored == {"missing_value": 1, "modified_meaning": 1}
    assert {row["record_id"] for row in found.rows} == {"o1"}


def test_absent_data_of_the_whole_leave_the_components(tmp_path: Path) -> None:
    parts = [{"code": coded("8480-6"), "valueQuantity": quantity(120, "mm[Hg]")}]
    found = read(
        tmp_path,
        observation(valueQuantity=None, dataAbsentReason=coded("unknown"), component=parts),
    )
    assert (found.values, found.ignored) == ([("8480-6", 120.0)], {"missing_value": 1})


def _versions(found: Read) -> list[int]:
    return [row["version"] for row in found.rows]


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ({"meta": {"versionId": "2"}}, {"meta": {"versionId": "10"}}),
        (
            {"meta": {"lastUpdated": "2026-03-01T10:00:00Z"}},
            {"meta": {"lastUpdated": "2026-03-01T10:00:00.5Z"}},
        ),
        (
            {"meta": {"versionId": "MTU", "lastUpdated": "2026-03-01T10:00:00+02:00"}},
            {"meta": {"versionId": "ABC", "lastUpdated": "2026-03-01T09:00:00+00:00"}},
        ),
        ({"issued": "2026-03-01T10:00:00Z"}, {"issued": "2026-03-01T11:00:00Z"}),
        ({}, {"status": "corrected"}),
        ({"status": "amended"}, {"status": "corrected"}),
        ({}, {"status": "entered-in-error"}),
        ({"status": "corrected", "meta": {"versionId": "4"}}, {"meta": {"versionId": "5"}}),
    ],
)
def test_a_later_version_is_higher_in_either_order(
    tmp_path: Path, earlier: dict[str, Any], later: dict[str, Any]
) -> None:
    first, second = _versions(read(tmp_path, observation(**earlier), observation(**later)))
    assert first < second
    assert _versions(read(tmp_path, observation(**later), observation(**earlier))) == [
        second,
        first,
    ]


@pytest.mark.parametrize("status", ["entered-in-error", "cancelled"])
def test_what_was_entered_in_error_withdraws(tmp_path: Path, status: str) -> None:
    row = read(tmp_path, observation(status=status)).only
    assert row["is_withdrawn"]
    assert math.isnan(row["value"])
    assert (row["subject_id"], row["record_id"], row["variable"]) == ("1", "o1", "8867-4")
    assert read(tmp_path, observation(status=status, id=None)).ignored == {
        "withdrawn_without_id": 1
    }


@pytest.mark.parametrize(
    "change",
    [
        {"status": "corrected", "valueQuantity": None},
        {"meta": {"versionId": "2"}, "dataAbsentReason": coded("error")},
        {"status": "amended", "focus": [{"reference": "Patient/fetus"}]},
    ],
)
def test_a_correction_that_leaves_nothing_withdraws_what_it_corrects(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    found = read(tmp_path, observation(**change))
    assert (found.only["is_withdrawn"], found.ignored) == (True, {})


def _variable(name: str, code: str) -> Variable:
    return Variable(
        name=name,
        description=name,
        unit="1",
        codes=(code,),
        plausible_range=(0.0, 1.0),
        range_source="test",
    )


def test_the_code_that_is_known_is_chosen_among_several(tmp_path: Path) -> None:
    concept = {
        "coding": [
            {"system": "http://snomed.info/sct", "code": "364075005"},
            {"system": "http://loinc.org/", "code": "1-8"},
            {"system": "urn:oid:2.16.840.1.113883.6.1", "code": "8867-4"},
            {"code": "8867-4"},
            {"code": "PULSE"},
        ]
    }
    resource = observation(code=concept)
    assert read(tmp_path, resource).only["variable"] == "1-8"
    known = Catalogue((_variable("HR", "8867-4"),), ())
    assert read(tmp_path, resource, catalogue=known).only["variable"] == "8867-4"
    codes = CodeMap({"SNOMED//364075005": Target("HR", "/min")})
    options = SourceOptions(format=SourceFormat.FHIR, codes=codes)
    bare = observation(code=concept, valueQuantity={"value": 92})
    row = read(tmp_path, bare, options=options, catalogue=known).only
    assert (row["variable"], row["unit"]) == ("HR", "/min")


@pytest.mark.parametrize(
    ("concept", "name"),
    [
        ({"text": "Heart rate"}, "Heart rate"),
        (coded("HR", None), "HR"),
        (coded("8867-4", None), "//8867-4"),
        (coded("HR", "http://x"), "http://x//HR"),
        ({"coding": [{"code": "HR"}], "text": "Heart rate"}, "HR"),
    ],
)
def test_a_code_of_no_known_system_keeps_its_name(
    tmp_path: Path, concept: dict[str, Any], name: str
) -> None:
    assert read(tmp_path, observation(code=concept)).only["variable"] == name


def _patient(**changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {"resourceType": "Patient", "id": "1", "gender": "female"}
    fields["birthDate"] = "1980-02-29"
    return {name: value for name, value in (fields | changes).items() if value is not None}


def test_a_patient_is_a_birth_date_and_a_sex(tmp_path: Path) -> None:
    birth, sex = read(tmp_path, _patient()).rows
    assert (birth["subject_id"], birth["variable"]) == ("1", "birth_date")
    assert (birth["time_kind"], birth["microseconds"]) == (TimeKind.DATE, _micros("1980-02-29"))
    assert math.isnan(birth["value"])
    assert (sex["variable"], sex["text"], sex["time_kind"]) == ("sex", "female", TimeKind.MISSING)


@pytest.mark.parametrize(
    ("change", "num_rows", "ignored"),
    [
        ({"gender": "other"}, 1, {"sex_not_used": 1}),
        ({"gender": "unknown", "birthDate": None}, 0, {"sex_not_used": 1}),
        ({"birthDate": "1980-13-01"}, 1, {"invalid_birth_date": 1}),
        ({"birthDate": None, "gender": None}, 0, {"person_without_statics": 1}),
        ({"modifierExtension": [{"url": "x"}]}, 0, {"modified_meaning": 1}),
    ],
)
def test_what_a_patient_does_not_say_is_counted(
    tmp_path: Path, change: dict[str, Any], num_rows: int, ignored: dict[str, int]
) -> None:
    found = read(tmp_path, _patient(**change))
    assert (len(found.rows), found.ignored) == (num_rows, ignored)


@pytest.mark.parametrize(("written", "meant"), [("1980", "1980-07-01"), ("1980-03", "1980-03-15")])
def test_a_partial_birth_date_is_its_middle(tmp_path: Path, written: str, meant: str) -> None:
    assert read(tmp_path, _patient(birthDate=written)).rows[0]["microseconds"] == _micros(meant)


def _bundle(*entries: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": "transaction", "entry": list(entries)}


def test_a_bundle_resolves_its_own_addresses(tmp_path: Path) -> None:
    group = {"fullUrl": "urn:uuid:g", "resource": {"resourceType": "Group", "id": "5"}}
    bundle = _bundle(
        {"fullUrl": "urn:uuid:a", "resource": observation(subject={"reference": "urn:uuid:p"})},
        {"fullUrl": "urn:uuid:b", "resource": observation(subject={"reference": "urn:uuid:g"})},
        {"fullUrl": "urn:uuid:p", "resource": _patient(id="7")},
        group,
        {"request": {"method": "DELETE"}},
    )
    file = tmp_path / "bundle.json"
    file.write_text(json.dumps(bundle, indent=1))
    found = read_file(file)
    assert {row["subject_id"] for row in found.rows} == {"7"}
    assert len(found.rows) == 3
    assert found.ignored == {
        "subject_not_a_patient": 1,
        "other_resource": 1,
        "entry_without_resource": 1,
    }


def test_a_resource_that_has_no_id_yet_is_known_by_its_address(tmp_path: Path) -> None:
    entry = {"fullUrl": "urn:uuid:p", "resource": _patient(id=None)}
    other = observation(id=None, subject={"reference": "urn:uuid:p"})
    found = read(tmp_path, _bundle(entry, {"fullUrl": "urn:uuid:o", "resource": other}))
    assert {row["subject_id"] for row in found.rows} == {"p"}
    assert found.rows[-1]["record_id"] == "urn:uuid:o"


def test_every_way_to_write_the_same_resources_gives_the_same_rows(tmp_path: Path) -> None:
    resources = [observation(id=str(number), valueQuantity=quantity(number)) for number in range(9)]
    resources.append(_patient())
    expected = read(tmp_path, *resources).rows
    ways = {
        "a.json": json.dumps(_bundle(*({"resource": one} for one in resources))).encode(),
        "bundle.json": json.dumps(
            _bundle(*({"resource": one} for one in resources)), indent=1
        ).encode("utf-16"),
        "b.json": "\n".join(json.dumps(one) for one in resources).encode(),
        "c.ndjson.gz": gzip.compress("\r\n".join(json.dumps(one) for one in resources).encode()),
        "d.ndjson": json.dumps(
            _bundle({"resource": _bundle(*({"resource": one} for one in resources))})
        ).encode(),
    }
    for name, content in ways.items():
        (tmp_path / name).write_bytes(content)
        found = read_file(tmp_path / name).rows
        assert json.dumps(found) == json.dumps(expected), name


def test_a_folder_is_read_whole_and_hidden_files_are_not(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "o.json").write_text(json.dumps(observation()))
    (tmp_path / "p.ndjson").write_text(json.dumps(_patient()))
    (tmp_path / "._p.ndjson").write_text("no JSON")
    assert len(read_file(tmp_path).rows) == 3


@pytest.mark.parametrize(
    "content",
    [
        b"[1]",
        b"{",
        b"\x00\x01",
        b'{"resourceType": "Observation"}\n{"cut',
        b'{"value": NaN}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
    ],
)
@pytest.mark.parametrize("name", ["x.json", "x.ndjson", "x.json.gz"])
def test_a_file_that_is_not_fhir_is_one_clear_error(
    tmp_path: Path, content: bytes, name: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError, match="x"):
        read_file(tmp_path / name)


_scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(min_value=-(10**400), max_value=10**400),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
    st.sampled_from(
        ["final", "Patient/1", "2026-03-01T10:00:00Z", "<", "<5", LOINC, UCUM, "\ud800"]
    ),
)
# fmt: off
_names = st.sampled_from(
    [
        "resourceType", "id", "status", "subject", "reference", "type", "identifier",
        "effectiveDateTime", "effectivePeriod", "start", "end", "issued", "code", "coding",
        "system", "text", "display", "valueQuantity", "value", "comparator", "unit",
        "valueString", "valueInteger", "valueCodeableConcept", "valueRange", "_valueString",
        "extension", "url", "component", "dataAbsentReason", "focus", "hasMember",
        "modifierExtension", "meta", "versionId", "lastUpdated", "birthDate", "gender",
        "entry", "resource", "fullUrl",
    ]
)
# fmt: on
_json = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_names, inner, max_size=6),
    max_leaves=20,
)


@given(
    kind=st.sampled_from(["Observation", "Patient", "Bundle"]),
    status=st.sampled_from(["final", "corrected", "entered-in-error", "registered"]),
    changes=st.dictionaries(_names, _json, max_size=8),
)
def test_no_json_stops_the_reader_and_every_resource_is_accounted_for(
    tmp_path_factory: pytest.TempPathFactory,
    kind: str,
    status: str,
    changes: dict[str, Any],
) -> None:
    content = observation(status=status) | {"resourceType": kind} | changes
    folder = tmp_path_factory.mktemp("fuzz")
    content["resourceType"] = kind
    found = read(folder, content)
    if kind != "Bundle":
        assert len(found.rows) + sum(found.ignored.values()) >= 1


@given(content=_json)
def test_any_json_is_read_or_is_one_error(
    tmp_path_factory: pytest.TempPathFactory, content: object
) -> None:
    file = tmp_path_factory.mktemp("fuzz") / "any.json"
    file.write_text(json.dumps(content))
    try:
        read_file(file)
    except SourceError:
        assert not isinstance(content, dict)


# What stands in the files: every Observation is used, its words as text.
_OBSERVATIONS = {
    "Observation.ndjson.gz": (22_962, 1_308, {}),
    "Patient.ndjson.gz": (200, 100, {}),
    "Berneice_Little": (119, 12, {"other_resource": 81}),
    "Brent_Beer": (100, 5, {"other_resource": 96}),
    "Fabian_Murray": (87, 6, {"other_resource": 81}),
    "George_Kutch": (92, 8, {"other_resource": 59}),
    "Stewart_Stanton": (468, 34, {"other_resource": 219}),
    "Truman_Wiegand": (687, 49, {"other_resource": 294}),
}


@pytest.mark.parametrize("name", _OBSERVATIONS)
def test_all_of_synthea_is_read_with_counts(data_root: Path, name: str) -> None:
    root = data_root / "fhir-synthea-r4"
    found = [path for path in root.rglob("*.*") if path.name.startswith(name)]
    if not found:
        pytest.skip(f"no Synthea bundles at {root}; set LACUNA_DATA to the folder that holds them")
    read_rows = read_file(found[0])
    num_texts = sum(row["text"] is not None for row in read_rows.rows)
    assert (len(read_rows.rows), num_texts, read_rows.ignored) == _OBSERVATIONS[name]
    kinds = Counter(row["time_kind"] for row in read_rows.rows)
    num_patients = kinds[TimeKind.DATE]
    assert set(kinds) <= {TimeKind.INSTANT, TimeKind.DATE, TimeKind.MISSING}
    assert kinds[TimeKind.MISSING] == num_patients
    assert all(row["subject_id"] for row in read_rows.rows)


def test_a_static_of_the_catalogue_is_known_too(tmp_path: Path) -> None:
    height = Static(name="height_cm", description="Height", unit="cm", plausible_range=(0.0, 1.0))
    concept = {"coding": [{"code": "x"}, {"code": "height_cm"}]}
    known = Catalogue((), (height,))
    assert (
        read(tmp_path, observation(code=concept), catalogue=known).only["variable"] == "height_cm"
    )


def test_a_bundle_that_is_cut_off_says_so(tmp_path: Path) -> None:
    whole = json.dumps(_bundle({"resource": observation()}), indent=1)
    (tmp_path / "cut.json").write_text(whole[:-20])
    with pytest.raises(SourceError, match="cut off"):
        read_file(tmp_path / "cut.json")
