"""No figure that is called held out has a subject whom the artifact saw, however the data came about."""

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model.artifact import load_artifact
from model.data.variables import Catalogue, Variable
from model.errors import ArtifactError
from model.records.clocks import RELATIVE_ANCHOR
from model.subjects import FittedSubjects
from tests.training.sources import FORMATS, OF_TEXT, Row, imported, records
from training.config import configure
from training.datasets.meds import read_cohort, write_meds
from training.evaluate import evaluate
from training.fit import fit, prepare
from training.judged_subjects import JudgedPart, NobodyLeftError, choose_subjects
from training.splits import DEFAULT_SPLIT, Split, SplitChoice, SplitError, split_subjects

NUMBERS = tuple(str(number) for number in range(132539, 132639))
WORDS = tuple(f"Ward {number % 7} p{number}" for number in range(100))
TINY = ("epochs=1", "latent_dim=2", "encoder_dim=8", "dynamics_dim=4", "decoder_dim=4")


class Silent:
    """Nobody looks at the progress."""

    def on_batch(self, epoch: int, batch: int, num_batches: int, loss: float) -> None:
        """Say nothing."""

    def on_epoch(self, record: object, *, is_best: bool) -> None:
        """Say nothing."""


@dataclass(frozen=True)
class Home:
    """An artifact, the rows that it was fitted on, and the part of every subject of them."""

    artifact: Path
    dataset: Path
    rows: Sequence[Row]
    parts: Mapping[str, str]

    @property
    def seen(self) -> set[str]:
        """Who trained or tuned."""
        return {one for one, part in self.parts.items() if part != "held_out"}

    @property
    def held_out(self) -> set[str]:
        """Who did not."""
        return set(self.parts) - self.seen


def fitted(dataset: Path, artifact: Path, split: SplitChoice = DEFAULT_SPLIT) -> None:
    fit(
        dataset,
        artifact,
        configure("quick", TINY, seed=0),
        name="tiny",
        artifact_version="1",
        device=torch.device("cpu"),
        resume=False,
        progress=Silent(),
        exports=False,
        split=split,
    )


def parts_of(split: Split, subjects: Sequence[str]) -> dict[str, str]:
    parts = {"train": split.train, "tuning": split.tuning, "held_out": split.held_out}
    return {subjects[place]: name for name, places in parts.items() for place in places}


def home(folder: Path, subjects: Sequence[str]) -> Home:
    rows = records(subjects)
    dataset = imported("csv", folder, rows)
    fitted(dataset, folder / "artifact")
    return Home(folder / "artifact", dataset, rows, parts_of(split_subjects(subjects), subjects))


@pytest.fixture(scope="module")
def numbered(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return home(tmp_path_factory.mktemp("numbered"), NUMBERS)


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return home(tmp_path_factory.mktemp("named"), WORDS)


def judged(home: Home, dataset: Path, part: str) -> tuple[str, dict[str, object]]:
    """Run `evaluate`; return the summary, and what `metrics.json` says of where it comes from."""
    out = dataset.with_name(f"report-{part}")
    summary = evaluate(
        home.artifact,
        dataset,
        task="imputation",
        out=out,
        part=part,
        device="cpu",
        seed=0,
        command=["evaluate"],
    )
    metrics = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    return summary, metrics["provenance"]


def chosen(home: Home, dataset: Path, part: str) -> set[str]:
    """The subjects that `evaluate` judges."""
    cohort = read_cohort(dataset).cohort
    subjects = load_artifact(home.artifact).subjects
    positions = choose_subjects(cohort, subjects, JudgedPart(part)).positions
    return {cohort.subject_ids[place] for place in positions}


def one_row_less(rows: Sequence[Row]) -> list[Row]:
    return list(rows[1:])


def one_subject_first(rows: Sequence[Row]) -> list[Row]:
    new = "0" if rows[0][0].isdigit() else "A"
    return [*records([new]), *rows]


def turned_around(rows: Sequence[Row]) -> list[Row]:
    return list(rows[::-1])


def half_of_the_subjects(rows: Sequence[Row]) -> list[Row]:
    kept = sorted({row[0] for row in rows})[1::2]
    return [row for row in rows if row[0] in kept]


CHANGES = (one_row_less, one_subject_first, turned_around, half_of_the_subjects)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize(
    ("ids", "kind"),
    [*(("numbered", kind) for kind in FORMATS), *(("named", kind) for kind in OF_TEXT)],
)
def test_a_changed_import_of_any_source_judges_nobody_who_was_seen(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    ids: str,
    kind: str,
    change: Callable[[Sequence[Row]], list[Row]],
) -> None:
    own: Home = request.getfixturevalue(ids)
    rows = change(own.rows)
    dataset = imported(kind, tmp_path, rows)
    present = {row[0] for row in rows}
    cohort = read_cohort(dataset).cohort
    assert set(cohort.subject_ids) == present
    assert chosen(own, dataset, "auto") == present - own.seen
    assert chosen(own, dataset, "held-out") == present & own.held_out
    assert chosen(own, dataset, "all") == present


def test_the_same_data_with_a_row_less_are_judged_without_those_who_were_seen(
    numbered: Home, tmp_path: Path
) -> None:
    dataset = imported("csv", tmp_path, one_row_less(numbered.rows))
    summary, provenance = judged(numbered, dataset, "auto")
    text = f"{len(numbered.held_out)} subjects; {len(numbered.seen)} that training or tuning saw"
    assert text in str(provenance["subjects"])
    assert text in summary
    assert text in (dataset.with_name("report-auto") / "report.html").read_text(encoding="utf-8")


def test_a_subject_that_sorts_first_moves_nobody(named: Home, tmp_path: Path) -> None:
    dataset = imported("csv", tmp_path, one_subject_first(named.rows))
    _, provenance = judged(named, dataset, "held-out")
    assert str(provenance["subjects"]).startswith(f"{len(named.held_out)} subjects")
    before, after = (read_cohort(one).cohort.subject_ids for one in (named.dataset, dataset))
    moved = parts_of(split_subjects(after), after)
    assert {one: moved[one] for one in before} == named.parts


def test_all_are_judged_never_in_silence(numbered: Home, tmp_path: Path) -> None:
    dataset = imported("csv", tmp_path, numbered.rows)
    summary, _ = judged(numbered, dataset, "all")
    saw = f"training or tuning saw {len(numbered.seen)} of them, so these figures are not held out"
    assert f"Judged on {len(NUMBERS)} subjects; {saw}." in summary


def test_nobody_left_is_an_error_that_says_what_to_do(numbered: Home, tmp_path: Path) -> None:
    rows = [row for row in numbered.rows if row[0] in numbered.seen]
    dataset = imported("csv", tmp_path, rows)
    for part, advice in (("auto", "--part all"), ("held-out", "--part auto")):
        with pytest.raises(NobodyLeftError, match=advice):
            judged(numbered, dataset, part)


def test_other_people_are_all_judged_and_compared_with_home(numbered: Home, tmp_path: Path) -> None:
    others = tuple(f"elsewhere-{number}" for number in range(20))
    summary, provenance = judged(
        numbered, imported("csv", tmp_path, records(others, seed=1)), "auto"
    )
    assert provenance["subjects"] == "20 subjects; training and tuning saw none of them"
    assert "Relative to home" in summary


def test_an_own_split_is_what_the_artifact_remembers(numbered: Home, tmp_path: Path) -> None:
    """The file holds out others than the hash does, and `evaluate` follows without being told."""
    order = np.random.default_rng(3).permutation(NUMBERS).tolist()
    parts = {one: "held_out" if place < 20 else "train" for place, one in enumerate(order)}
    parts |= dict.fromkeys(order[20:40], "tuning")
    path = tmp_path / "split.csv"
    path.write_text("subject_id,part\n" + "".join(f"{one},{parts[one]}\n" for one in sorted(parts)))
    fitted(numbered.dataset, tmp_path / "artifact", SplitChoice(file=path))
    own = Home(tmp_path / "artifact", numbered.dataset, numbered.rows, parts)
    assert chosen(own, own.dataset, "auto") == chosen(own, own.dataset, "held-out") == own.held_out
    metrics = load_artifact(own.artifact).metrics["held_out"]
    assert metrics["imputation"]["num_series"] == 20
    path.write_text(path.read_text().replace(NUMBERS[0], "4711"))
    with pytest.raises(SplitError, match="not in the data set"):
        prepare(numbered.dataset, SplitChoice(file=path))


def test_a_split_may_name_subjects_that_the_import_left_without_a_series(tmp_path: Path) -> None:
    rows = [*records(WORDS[:60]), ("nobody", 1.0, "HR", 9000.0)]
    dataset = imported("csv", tmp_path, rows)
    path = tmp_path / "split.csv"
    parts = ["tuning", "train", "train", "held_out"]
    lines = [f"{one},{parts[place % 4]}\n" for place, one in enumerate(WORDS[:60])]
    path.write_text("subject_id,part\n" + "".join(lines) + "nobody,train\n")
    prepared = prepare(dataset, SplitChoice(file=path))
    assert len(set(prepared.held_out.subject_ids)) == 15


def test_the_artifact_names_no_subject(named: Home) -> None:
    for file in named.artifact.iterdir():
        content = file.read_bytes()
        assert not any(one.encode() in content for one in WORDS), file.name


def test_a_data_set_is_never_overwritten_by_an_artifact(numbered: Home, tmp_path: Path) -> None:
    before = read_cohort(numbered.dataset).sha256
    with pytest.raises(ArtifactError, match="not an artifact"):
        fitted(numbered.dataset, numbered.dataset)
    assert read_cohort(numbered.dataset).sha256 == before
    for name, content in (("manifest.json", "{}"), ("notes.txt", "mine")):
        folder = tmp_path / name.partition(".")[0]
        folder.mkdir()
        (folder / name).write_text(content)
        with pytest.raises(ArtifactError, match="not an artifact"):
            fitted(numbered.dataset, folder)
        assert (folder / name).read_text() == content


OWN = Catalogue(
    (
        Variable(name="Cuff pressure", unit="cm[H2O]", plausible_range=(1.0, 120.0)),
        Variable(name="Temp", unit="[degF]", plausible_range=(80.0, 115.0), resolution=0.1),
        Variable(name="Copeptin", unit="pmol/L", plausible_range=(0.1, 2000.0), log_offset=0.0),
        Variable(name="Rare", unit="1", plausible_range=(0.0, 9.0)),
    ),
    (),
)


def own_records(subjects: Sequence[str]) -> pd.DataFrame:
    """Pressures and temperatures of everybody, a rare value of each, and no copeptin."""
    names = {"HR": "Cuff pressure", "Temp": "Temp"}
    rows = [
        (one, hour, names[name], value)
        for one, hour, name, value in records(subjects)
        if name in names
    ]
    rows += [(one, 1.0, "Rare", 2.0) for one in subjects[:4]]
    frame = pd.DataFrame(rows, columns=["subject_id", "hour", "code", "numeric_value"])
    is_warm = frame["code"] == "Temp"
    frame.loc[is_warm, "numeric_value"] = 32 + 1.8 * frame.loc[is_warm, "numeric_value"]
    frame["time"] = pd.Timestamp("2000-01-01") + pd.to_timedelta(frame["hour"], unit="h")
    units = {variable.name: variable.unit for variable in OWN}
    return frame.assign(
        subject_id=frame["subject_id"].astype("int64"), unit=frame["code"].map(units)
    )


def test_a_model_speaks_the_variables_of_its_data(tmp_path: Path) -> None:
    """No variable here but one is shipped, and it has another unit; what has no values is named."""
    dataset = tmp_path / "own"
    write_meds(dataset, own_records(NUMBERS), name="own", anchor=RELATIVE_ANCHOR, catalogue=OWN)
    fitted(dataset, tmp_path / "artifact")
    artifact = load_artifact(tmp_path / "artifact")
    assert [one.name for one in artifact.catalogue] == ["Cuff pressure", "Temp"]
    assert [one.name for one in artifact.catalogue.untrained] == ["Copeptin", "Rare"]
    for text in ("never answered", "no value: Copeptin", "too few values: Rare"):
        assert text in artifact.card
    assert "Copeptin (pmol/L)" not in artifact.card
    # Elsewhere there are temperatures in Celsius, and variables that the model does not know.
    others = imported("csv", tmp_path / "other", records([f"b{place}" for place in range(20)]))
    own = Home(tmp_path / "artifact", dataset, (), {})
    _, provenance = judged(own, others, "auto")
    assert "of variables that the model was not trained on (HR, K)" in str(provenance["left_out"])


POOL = (
    *(str(number) for number in (0, -4, 7, 12, 100, 10**17)),
    "007",
    "7 a",
    "a",
    "A",
    "ä",
    "p-1",
)
IMPORTS = st.lists(
    st.tuples(
        st.lists(st.sampled_from(POOL), min_size=1, unique=True),
        st.sampled_from(("csv", "parquet")),
        st.randoms(use_true_random=False),
    ),
    min_size=2,
    max_size=4,
)
CHOICES = st.one_of(
    st.just(DEFAULT_SPLIT),
    st.builds(
        lambda folds, fold: SplitChoice(num_folds=folds, fold=1 + fold % folds),
        st.integers(2, 5),
        st.integers(0, 4),
    ),
)


@settings(max_examples=15)
@given(imports=IMPORTS, choice=CHOICES)
def test_no_order_of_import_deletion_and_addition_judges_who_was_seen(
    imports: Sequence[tuple[list[str], str, Random]], choice: SplitChoice
) -> None:
    """Whichever import was fitted on, and whatever came before and after it."""
    with tempfile.TemporaryDirectory() as root:
        cohorts = []
        for number, (subjects, kind, random) in enumerate(imports):
            rows = records(subjects, num_times=2)
            random.shuffle(rows)
            rows = rows[: max(1, len(rows) - 3)]
            cohorts.append(read_cohort(imported(kind, Path(root, str(number)), rows)).cohort)
    splits = [parts_of(choice.divide(cohort.subject_ids), cohort.subject_ids) for cohort in cohorts]
    for parts in splits:
        by_part = {
            part: [one for one, found in parts.items() if found == part]
            for part in ("train", "tuning", "held_out")
        }
        artifact = FittedSubjects.of(*by_part.values())
        seen = {*by_part["train"], *by_part["tuning"]}
        for cohort, others in zip(cohorts, splits, strict=True):
            # Nobody changes the part.
            assert all(others[one] == part for one, part in parts.items() if one in others)
            for judged_part in (JudgedPart.AUTO, JudgedPart.HELD_OUT):
                try:
                    found = choose_subjects(cohort, artifact, judged_part)
                except NobodyLeftError:
                    continue
                names = {cohort.subject_ids[place] for place in found.positions}
                assert not names & seen
                assert found.is_held_out
                assert found.num_left_out == len(set(cohort.subject_ids) & seen)
