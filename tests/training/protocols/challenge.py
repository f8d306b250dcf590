"""Files of the challenge's format: made up, and the real sets written out again."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from training.protocols.raw import SERIES

HEADER = "Time,Parameter,Value\n"


def write_record(folder: Path, record: int, *lines: str, weight: float = 80) -> None:
    """Write one record with its descriptors."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptors = [f"00:00,RecordID,{record}", "00:00,Age,54", "00:00,Gender,0"]
    descriptors += ["00:00,Height,-1", "00:00,ICUType,4", f"00:00,Weight,{weight:g}"]
    text = HEADER + "\n".join([*descriptors, *lines]) + "\n"
    (folder / f"{record}.txt").write_text(text, encoding="utf-8")


def write_made_up(folder: Path, generator: np.random.Generator, *, num_records: int) -> None:
    """Write records of set A with random values, the first without any, and their outcomes."""
    write_record(folder / "set-a", 1)
    for record in range(2, num_records + 1):
        count = int(generator.integers(40, 120))
        minutes = np.sort(generator.integers(0, 48 * 60 + 1, count))
        lines = [
            f"{minute // 60:02d}:{minute % 60:02d},{name},{value:.4f}"
            for minute, name, value in zip(
                minutes.tolist(),
                generator.choice(SERIES, count),
                generator.normal(10, 1, count),
                strict=True,
            )
        ]
        weight = 60 + float(generator.integers(40))
        write_record(folder / "set-a", record, *lines, weight=weight)
    outcomes = [f"{record},{int(generator.random() < 0.3)}" for record in range(1, num_records + 1)]
    text = "\n".join(["RecordID,In-hospital_death", *outcomes])
    (folder / "Outcomes-a.txt").write_text(text + "\n", encoding="utf-8")


def write_real(source: Path, out: Path) -> None:
    """Write sets A and B of `observations.parquet` as text files, and the outcomes of set A."""
    table = pq.read_table(source / "observations.parquet")
    texts = _lines(table).to_pylist()
    records = table.column("record_id").to_numpy()
    sets = table.column("set").cast(pa.string()).to_pylist()
    starts = [*np.flatnonzero(np.diff(records, prepend=-1)).tolist(), len(records)]
    for name in ("a", "b"):
        (out / f"set-{name}").mkdir(parents=True)
    for start, stop in itertools.pairwise(starts):
        path = out / f"set-{sets[start]}" / f"{records[start]}.txt"
        path.write_text(HEADER + "\n".join(texts[start:stop]) + "\n", encoding="ascii")
    outcomes = pq.read_table(source / "outcomes.parquet").to_pylist()
    rows = [
        f"{row['record_id']},{row['In-hospital_death']}" for row in outcomes if row["set"] == "a"
    ]
    text = "\n".join(["RecordID,In-hospital_death", *rows])
    (out / "Outcomes-a.txt").write_text(text + "\n", encoding="ascii")


def _lines(table: pa.Table) -> pa.ChunkedArray:
    minutes = table.column("minutes")
    hours = pc.divide(minutes, 60)
    rest = pc.subtract(minutes, pc.multiply(hours, 60))
    padded = [pc.utf8_lpad(part.cast(pa.string()), 2, "0") for part in (hours, rest)]
    time = pc.binary_join_element_wise(*padded, ":")
    # The shortest text that reads back as the same float32.
    value = table.column("value").cast(pa.float32()).cast(pa.string())
    return pc.binary_join_element_wise(
        time, table.column("parameter").cast(pa.string()), value, ","
    )


def read_slowly(path: Path) -> Iterator[tuple[int, str, float]]:
    """Yield minute, parameter and value of each line of a file but the RecordID, in order."""
    for line in path.read_text(encoding="ascii").splitlines()[1:]:
        time, parameter, value = line.split(",")
        hours, minutes = time.split(":")
        if parameter != "RecordID":
            yield 60 * int(hours) + int(minutes), parameter, float(value)
