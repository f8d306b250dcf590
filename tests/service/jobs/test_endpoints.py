"""Jobs over HTTP: submit, watch, download, cancel, resume, delete; and what is refused."""

import errno
import gzip
import hashlib
import io
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pyarrow.parquet as pq
import pytest

from model.runtime.predictor import Predictor
from service.jobs.ledger.opening import open_jobs
from service.jobs.workers.working import work
from service.settings import Settings
from tests.service.conftest import serving
from tests.service.jobs.csv_tables import csv_table

REQUEST = {"format": "csv", "fill": {"kind": "grid", "minutes": 240}, "chunk_subjects": 4}
TABLE = csv_table(10)
MARKER = "Xanadu-4711"


class Desk:
    """A server without workers of its own, and a worker that runs when the test says so."""

    def __init__(self, client: httpx.Client, settings: dict[str, Any]) -> None:
        self.client = client
        self.settings = Settings.model_validate(settings)

    def post(
        self, request: object = REQUEST, table: bytes = TABLE, *, key: str | None = None
    ) -> httpx.Response:
        form = [("request", (None, json.dumps(request))), ("input", ("../x.csv", table))]
        headers = {} if key is None else {"Idempotency-Key": key}
        return self.client.post("/v1/jobs", files=form, headers=headers)  # type: ignore[arg-type]

    def submit(
        self, request: object = REQUEST, table: bytes = TABLE, *, key: str | None = None
    ) -> str:
        answer = self.post(request, table, key=key)
        assert answer.status_code == 202, answer.text
        assert answer.headers["location"] == f"/v1/jobs/{answer.json()['id']}"
        return str(answer.json()["id"])

    def work(self) -> None:
        work(self.settings, threading.Event(), ends=True)

    def get(self, path: str, **parameters: object) -> Any:
        address = f"/v1/jobs/{path}".rstrip("/")
        answer = self.client.get(address, params=parameters)  # type: ignore[arg-type]
        assert answer.status_code == 200, answer.text
        return answer.json()

    def jobs_dir_names(self) -> set[str]:
        assert self.settings.jobs_dir is not None
        return {path.name for path in self.settings.jobs_dir.iterdir() if path.is_dir()}


@pytest.fixture(scope="module")
def desk(
    predictor: Predictor, tiny_artifact: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Desk]:
    settings: dict[str, Any] = {
        "artifact": tiny_artifact,
        "jobs_dir": tmp_path_factory.mktemp("jobs") / "jobs",
        "job_workers": 0,
        "max_upload_bytes": 200_000,
    }
    with serving(predictor, **settings) as client:
        yield Desk(client, settings)


@pytest.fixture(scope="module")
def finished(desk: Desk) -> str:
    """A job that was done without an incident."""
    job_id = desk.submit()
    desk.work()
    return job_id


def problem(answer: httpx.Response, status: int, code: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert MARKER not in answer.text


def frames(text: str) -> list[dict[str, str]]:
    blocks = [block for block in text.split("\n\n") if block and not block.startswith(":")]
    return [dict(line.split(": ", 1) for line in block.splitlines()) for block in blocks]


def test_a_finished_job_tells_what_it_did(desk: Desk, finished: str) -> None:
    job = desk.get(finished)
    assert job["state"] == "succeeded"
    assert job["progress"]["percent"] == 100
    assert (job["progress"]["num_chunks"], job["progress"]["num_subjects"]) == (3, 10)
    assert job["reading"]["not_used"] == []
    assert finished in [one["id"] for one in desk.get("")["jobs"]]


def test_what_was_not_used_and_what_was_suspected_is_counted(desk: Desk) -> None:
    extra = b"p0000,1,nonsense,1,\np0001,2,Glucose,14.2,\np0001,3,HR,9000,/min\n,3,HR,80,/min\n"
    job_id = desk.submit(table=TABLE + extra)
    desk.work()
    reading = desk.get(job_id)["reading"]
    found = {(one["reason"], one["variable"]): one["rows"] for one in reading["not_used"]}
    assert found == {
        ("implausible_value", "HR"): 1,
        ("missing_subject", ""): 1,
        ("unknown_variable", ""): 1,
    }
    remarks = {(one["code"], one["variable"], one["unit"]) for one in reading["remarks"]}
    assert ("unit_suspected", "Glucose", "mmol/L") in remarks
    assert all(one["message"] for one in reading["remarks"])


def test_the_output_is_one_file_with_the_rows_of_all_parts(desk: Desk, finished: str) -> None:
    whole = desk.client.get(f"/v1/jobs/{finished}/output")
    assert whole.headers["content-type"] == "application/vnd.apache.parquet"
    table = pd.read_parquet(io.BytesIO(whole.content))
    parts = []
    for chunk in desk.get(f"{finished}/chunks")["chunks"]:
        content = desk.client.get(f"/v1/jobs/{finished}/output/{chunk['index']}").content
        assert hashlib.sha256(content).hexdigest() == chunk["part_sha256"]
        parts.append(pd.read_parquet(io.BytesIO(content)))
    pd.testing.assert_frame_equal(table, pd.concat(parts, ignore_index=True))
    assert table["subject_id"].nunique() == 10
    assert len(table) == desk.get(finished)["progress"]["num_filled_rows"]


def test_words_are_written_as_a_dictionary(desk: Desk, finished: str) -> None:
    # One with a word twice is written with whatever stands in memory.
    content = desk.client.get(f"/v1/jobs/{finished}/output/0").content
    group = pq.ParquetFile(io.BytesIO(content)).metadata.row_group(0)
    columns = {group.column(i).path_in_schema: group.column(i) for i in range(group.num_columns)}
    for name in ("variable", "unit", "origin", "status", "model_version"):
        assert "RLE_DICTIONARY" in columns[name].encodings


@pytest.mark.parametrize("kind", ["csv", "ndjson"])
def test_lines_are_joined_without_a_header_in_between(desk: Desk, kind: str, finished: str) -> None:
    job_id = desk.submit({**REQUEST, "output": {"format": kind}})
    desk.work()
    text = desk.client.get(f"/v1/jobs/{job_id}/output").text
    rows = desk.get(finished)["progress"]["num_filled_rows"]
    assert len(text.splitlines()) == rows + (kind == "csv")
    assert text.count("subject_id") == (1 if kind == "csv" else rows)


def test_chunks_come_page_by_page(desk: Desk, finished: str) -> None:
    first = desk.get(f"{finished}/chunks", limit=2)
    second = desk.get(f"{finished}/chunks", limit=2, after=first["next_after"])
    assert [one["index"] for one in (*first["chunks"], *second["chunks"])] == [0, 1, 2]
    assert "next_after" not in second


def test_events_can_be_taken_up_after_any_of_them(desk: Desk, finished: str) -> None:
    path = f"/v1/jobs/{finished}/events"
    answer = desk.client.get(path)
    assert answer.headers["content-type"].startswith("text/event-stream")
    everything = frames(answer.text)
    assert [int(one["id"]) for one in everything] == list(range(1, len(everything) + 1))
    assert json.loads(everything[-1]["data"])["state"] == "succeeded"
    for number in range(len(everything) + 1):
        rest = desk.client.get(path, headers={"Last-Event-ID": str(number)})
        assert frames(rest.text) == everything[number:]
    problem(desk.client.get(path, headers={"Last-Event-ID": MARKER}), 422, "invalid_request")


def test_the_same_key_is_the_same_job_and_other_content_is_refused(desk: Desk) -> None:
    job_id = desk.submit(key="night 12")
    before = desk.jobs_dir_names()
    assert desk.submit(key="night 12") == job_id
    problem(desk.post(table=csv_table(3), key="night 12"), 422, "idempotency_key_reused")
    problem(desk.post({**REQUEST, "seed": 1}, key="night 12"), 422, "idempotency_key_reused")
    assert desk.jobs_dir_names() == before
    desk.client.delete(f"/v1/jobs/{job_id}")


def test_a_job_is_cancelled_resumed_and_deleted(desk: Desk) -> None:
    path = f"/v1/jobs/{desk.submit()}"
    problem(desk.client.post(f"{path}/resume"), 409, "job_state")
    problem(desk.client.get(f"{path}/output"), 409, "job_state")
    problem(desk.client.get(f"{path}/output/0"), 404, "not_found")
    for _ in range(2):
        assert desk.client.post(f"{path}/cancel").json()["state"] == "cancelled"
    assert desk.client.post(f"{path}/resume").json()["state"] == "queued"
    desk.work()
    problem(desk.client.post(f"{path}/cancel"), 409, "job_state")
    assert desk.client.get(f"{path}/output").status_code == 200
    for _ in range(2):
        assert desk.client.delete(path).status_code == 204
    assert desk.client.get(path).json()["state"] == "deleted"
    for below in ("/output", "/output/0", "/chunks", "/quarantine"):
        problem(desk.client.get(f"{path}{below}"), 410, "job_deleted")
    assert path.rpartition("/")[2] not in desk.jobs_dir_names()


def test_bad_subjects_are_named_in_the_quarantine_with_reasons(desk: Desk) -> None:
    bad = TABLE + f"{MARKER},1.0,HR,80,furlong\n".encode()
    job_id = desk.submit({**REQUEST, "max_quarantined_share": 0.5}, bad)
    desk.work()
    lines = desk.client.get(f"/v1/jobs/{job_id}/quarantine").text.splitlines()
    assert [json.loads(line)["subject_id"] for line in lines] == [MARKER]
    assert desk.get(job_id)["progress"]["num_quarantined"] == 1


@pytest.mark.parametrize(
    "bad", [b"a,b\n1,2\n", b"", b"subject_id,time\np1,1\n", b"\x00\xff\n", b"1,2\n"]
)
def test_input_that_cannot_be_read_fails_the_job_without_an_echo(desk: Desk, bad: bytes) -> None:
    job_id = desk.submit(table=bad and bad + MARKER.encode())
    desk.work()
    answer = desk.client.get(f"/v1/jobs/{job_id}")
    assert answer.json()["state"] == "failed"
    assert answer.json()["error"]["code"] == "invalid_job_input"
    assert MARKER not in answer.text


def test_a_gzipped_table_is_read(desk: Desk, finished: str) -> None:
    times = gzip.compress(b"subject_id,time\n" + TABLE.splitlines()[1].split(b",")[0] + b",1.0\n")
    job_id = desk.submit(table=gzip.compress(TABLE))
    asked = {**REQUEST, "fill": {"kind": "times_table"}}
    form = {
        "request": (None, json.dumps(asked)),
        "input": ("x.csv.gz", gzip.compress(TABLE)),
        "times": ("y", times),
    }
    timed = desk.client.post("/v1/jobs", files=form).json()["id"]  # type: ignore[arg-type]
    desk.work()
    plain, gzipped = (
        [one["part_sha256"] for one in desk.get(f"{one}/chunks")["chunks"]]
        for one in (finished, job_id)
    )
    assert gzipped == plain
    assert desk.get(timed)["state"] == "succeeded"


@pytest.mark.parametrize("encoding", ["gzip", "identity, br"])
def test_a_form_that_is_compressed_as_a_whole_is_refused(desk: Desk, encoding: str) -> None:
    answer = desk.client.post(
        "/v1/jobs", content=b"", headers={**BOUNDARY, "Content-Encoding": encoding}
    )
    problem(answer, 415, "unsupported_content_encoding")


@pytest.mark.parametrize("lost", ["parts", "quarantine"])
def test_a_part_that_was_lost_is_a_clear_problem(desk: Desk, lost: str) -> None:
    job_id = desk.submit({**REQUEST, "seed": len(lost)})
    desk.work()
    assert desk.settings.jobs_dir is not None
    file = min((desk.settings.jobs_dir / job_id / lost).iterdir())
    if lost == "parts":
        file.write_bytes(file.read_bytes()[:-1])
    else:
        file.unlink()
    for path in ("output", "output/0", "quarantine"):
        problem(desk.client.get(f"/v1/jobs/{job_id}/{path}"), 410, "part_lost")
    assert desk.client.get(f"/v1/jobs/{job_id}/output/1").status_code == 200
    problem(desk.client.get(f"/v1/jobs/{job_id}/output/9"), 404, "not_found")


@pytest.mark.parametrize("name", ["..", "a" * 32, MARKER, "%2e%2e", "x" * 500, "%00"])
def test_an_id_that_is_none_is_not_found(desk: Desk, name: str) -> None:
    for verb, below in [("GET", ""), ("GET", "/output"), ("POST", "/cancel"), ("DELETE", "")]:
        answer = desk.client.request(verb, f"/v1/jobs/{name}{below}")
        assert answer.status_code in (404, 405)
        assert MARKER not in answer.text


BOUNDARY = {"content-type": "multipart/form-data; boundary=b"}
PART = b'--b\r\ncontent-disposition: form-data; name="%s"\r\n\r\n%s\r\n'


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (b"{}", {"content-type": "application/json"}, 415, "unsupported_media_type"),
        (b"", {"content-type": "multipart/form-data"}, 415, "unsupported_media_type"),
        (b"", BOUNDARY, 400, "invalid_upload"),
        (b"nonsense", BOUNDARY, 400, "invalid_upload"),
        (PART % (b"request", b"{}") + b"--b--", BOUNDARY, 400, "invalid_upload"),
        (PART % (b"input", b"{}") + b"--b--", BOUNDARY, 400, "invalid_upload"),
        (PART % (b"input", b"") + PART % (b"input", b""), BOUNDARY, 400, "invalid_upload"),
        (PART % (MARKER.encode(), b"") + b"--b--", BOUNDARY, 400, "invalid_upload"),
        (PART % (b"request", b"{}") + PART % (b"input", b"1"), BOUNDARY, 400, "invalid_upload"),
        (PART % (b"request", b"x" * 300_000), BOUNDARY, 413, "upload_too_large"),
    ],
)
def test_a_body_that_is_not_the_form_is_refused_and_leaves_nothing(
    desk: Desk, body: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    before = desk.jobs_dir_names()
    problem(desk.client.post("/v1/jobs", content=body, headers=headers), status, code)
    assert desk.jobs_dir_names() == before


def test_an_upload_that_does_not_say_its_length_is_limited_too(desk: Desk) -> None:
    def endless() -> Iterator[bytes]:
        yield PART % (b"request", json.dumps(REQUEST).encode())
        yield b'--b\r\ncontent-disposition: form-data; name="input"\r\n\r\n'
        for _ in range(300):
            yield b"x" * 1024

    before = desk.jobs_dir_names()
    answer = desk.client.post("/v1/jobs", content=endless(), headers=BOUNDARY)
    problem(answer, 413, "upload_too_large")
    assert desk.jobs_dir_names() == before


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {**REQUEST, "format": MARKER},
        {**REQUEST, MARKER: 1},
        {**REQUEST, "fill": {"kind": "grid", "minutes": 0}},
        {**REQUEST, "fill": {"kind": MARKER}},
        {**REQUEST, "fill": MARKER},
        {**REQUEST, "output": MARKER},
        {**REQUEST, "quantile_levels": [0.9, 0.1]},
        {**REQUEST, "fill": {"kind": "times_table"}},
        {**REQUEST, "variables": [MARKER]},
        [],
    ],
)
def test_a_request_without_the_documented_form_is_refused(desk: Desk, request_: object) -> None:
    before = desk.jobs_dir_names()
    answer = desk.post(request_)
    assert answer.status_code == 422, answer.text
    for word in (MARKER, "instance of", "Input tag", "Value error"):
        assert word not in answer.text
    assert desk.jobs_dir_names() == before


def test_a_full_disk_refuses_the_upload(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: object) -> None:
        raise OSError(errno.ENOSPC, "no space")

    before = desk.jobs_dir_names()
    with monkeypatch.context() as patched:
        patched.setattr("service.jobs.http.uploads.Upload._write", full)
        problem(desk.post(), 507, "disk_full")
    assert desk.jobs_dir_names() == before


def test_more_jobs_than_the_limit_are_refused(
    predictor: Predictor, tiny_artifact: Path, tmp_path: Path
) -> None:
    settings: dict[str, Any] = {
        "artifact": tiny_artifact,
        "jobs_dir": tmp_path / "jobs",
        "job_workers": 0,
        "max_unfinished_jobs": 1,
    }
    with serving(predictor, **settings) as client:
        desk = Desk(client, settings)
        job_id = desk.submit()
        problem(desk.post(), 429, "too_many_jobs")
        client.post(f"/v1/jobs/{job_id}/cancel")
        desk.submit()


def test_a_job_keeps_the_limit_of_the_server_that_took_it(
    predictor: Predictor, tiny_artifact: Path, tmp_path: Path
) -> None:
    settings: dict[str, Any] = {
        "artifact": tiny_artifact,
        "jobs_dir": tmp_path / "jobs",
        "job_workers": 0,
        "max_outside_hours": 24.0,
    }
    with serving(predictor, **settings) as client:
        # The worker has another limit.
        desk = Desk(client, {**settings, "max_outside_hours": 1_000.0})
        far = {**REQUEST, "fill": {"kind": "grid", "minutes": 240, "forecast_hours": 25}}
        problem(desk.post(far), 422, "query_too_far")
        problem(desk.post({**REQUEST, "max_outside_hours": 25}), 422, "invalid_job_input")
        ids = [
            desk.submit(
                {**REQUEST, "fill": {"kind": "grid", "minutes": 240, "forecast_hours": 24}}
            ),
            desk.submit({**REQUEST, "max_outside_hours": 2}),
        ]
        assert [desk.get(one)["request"]["max_outside_hours"] for one in ids] == [24, 2]
        desk.work()
        assert {desk.get(one)["state"] for one in ids} == {"succeeded"}


def test_a_server_without_a_folder_takes_no_jobs(client: httpx.Client) -> None:
    problem(client.get("/v1/jobs"), 404, "jobs_disabled")
    problem(client.post("/v1/jobs", files={"input": b""}), 404, "jobs_disabled")
    assert open_jobs(Settings()) is None
