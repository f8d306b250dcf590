"""Laws of the simulated chart: the truth, plus the stated noise, where somebody looked."""

import numpy as np
import pandas as pd
import pytest

from model.data.cleaning import Observations, clean
from model.data.variables import Kind, Static, Variable
from tests.catalogues import CHALLENGE
from training.datasets import simulated
from training.datasets.population import draw
from training.datasets.simulated import CHARTED, MEAN_OF, ORIGIN, Simulation, simulate
from training.datasets.trajectory import Trajectory, follow

ITEMS: tuple[Variable | Static, ...] = (*CHALLENGE.variables, *CHALLENGE.statics)
SEED = 7
NUM_SUBJECTS = 150


@pytest.fixture(scope="module")
def cohort() -> Simulation:
    return simulate(NUM_SUBJECTS, generator=np.random.default_rng(SEED))


@pytest.fixture(scope="module")
def bodies() -> Trajectory:
    """The bodies of `cohort` again: the first stream of each subject is the person's."""
    streams = np.random.default_rng(SEED).spawn(NUM_SUBJECTS)
    return follow(draw([stream.spawn(1)[0] for stream in streams]), duration_hours=48.0)


def observations(simulation: Simulation) -> pd.DataFrame:
    rows = simulation.table.dropna(subset=["time"]).copy()
    rows["hours"] = (rows["time"] - ORIGIN) / pd.Timedelta(hours=1)
    return rows


def of(rows: pd.DataFrame, code: str) -> pd.DataFrame:
    return rows[rows["code"] == code]


def true_values(bodies: Trajectory, quantity: np.ndarray, rows: pd.DataFrame) -> np.ndarray:
    """The quantity at the subject and time of each row."""
    columns = rows["subject_id"].to_numpy() - 1
    values: np.ndarray = bodies.at(quantity[:, columns], rows["hours"].to_numpy()[None])[0]
    return values


def test_the_table_has_the_columns_of_the_contract(cohort: Simulation) -> None:
    assert {name: str(kind) for name, kind in cohort.table.dtypes.items()} == {
        "subject_id": "int64",
        "time": "datetime64[us]",
        "code": "str",
        "numeric_value": "float32",
        "unit": "str",
    }
    assert list(cohort.truth.columns) == ["subject_id", "time", "code", "numeric_value"]
    assert cohort.table["subject_id"].unique().tolist() == list(range(1, NUM_SUBJECTS + 1))


@pytest.mark.parametrize("name", ["table", "truth"])
def test_rows_are_sorted_by_subject_time_and_code_with_statics_first(
    cohort: Simulation, name: str
) -> None:
    frame: pd.DataFrame = getattr(cohort, name)
    keys = ["subject_id", "time", "code"]
    ordered = frame.sort_values(keys, na_position="first", kind="stable", ignore_index=True)
    pd.testing.assert_frame_equal(ordered, frame)
    assert not frame.duplicated(keys).any()


def test_units_are_the_catalogues_and_only_statics_have_no_time(cohort: Simulation) -> None:
    units = {item.name: item.unit for item in ITEMS}
    assert (cohort.table["unit"] == cohort.table["code"].map(units)).all()
    is_static = cohort.table["code"].isin([static.name for static in CHALLENGE.statics])
    assert (cohort.table["time"].isna() == is_static).all()
    statics = cohort.table[is_static].groupby("code")["subject_id"].nunique()
    assert (statics[["age_years", "sex", "icu_type"]] == NUM_SUBJECTS).all()
    assert statics["height_cm"] < statics["weight_kg"] < NUM_SUBJECTS


def test_times_are_whole_minutes_within_the_stay(cohort: Simulation) -> None:
    rows = observations(cohort)
    assert (rows["time"].dt.floor("min") == rows["time"]).all()
    assert rows["hours"].between(0, 48).all()


@pytest.mark.parametrize("name", ["table", "truth"])
def test_every_value_is_plausible_in_float64(cohort: Simulation, name: str) -> None:
    frame: pd.DataFrame = getattr(cohort, name)
    items = {item.name: item for item in ITEMS}
    for code, values in frame.groupby("code")["numeric_value"]:
        low, high = items[str(code)].plausible_range
        assert values.astype("float64").between(low, high).all(), code


def test_cleaning_drops_nothing(cohort: Simulation) -> None:
    rows = observations(cohort)
    cleaned = clean(
        Observations(
            rows["subject_id"].to_numpy(),
            rows["hours"].to_numpy(),
            np.array([CHALLENGE.channel(code) for code in rows["code"]]),
            rows["numeric_value"].to_numpy(dtype=np.float64),
        ),
        CHALLENGE,
    )
    assert cleaned.report.drops == ()
    assert cleaned.report.kept == len(rows)


def test_the_same_seed_gives_the_same_cohort_and_another_seed_another() -> None:
    streams = (np.random.default_rng(seed) for seed in (1, 1, 2))
    one, same, other = (simulate(3, generator=rng, duration_hours=3) for rng in streams)
    pd.testing.assert_frame_equal(one.table, same.table)
    pd.testing.assert_frame_equal(one.truth, same.truth)
    assert not one.table.equals(other.table)


def test_a_record_does_not_depend_on_how_many_others_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    few = simulate(4, generator=np.random.default_rng(5), duration_hours=3)
    monkeypatch.setattr(simulated, "SUBJECTS_PER_BLOCK", 3)
    many = simulate(8, generator=np.random.default_rng(5), duration_hours=3)
    first = many.table[many.table["subject_id"] <= 4].reset_index(drop=True)
    pd.testing.assert_frame_equal(first, few.table)


def test_a_shorter_stay_is_the_beginning_of_the_longer_one() -> None:
    short, long = (
        simulate(6, generator=np.random.default_rng(5), duration_hours=hours) for hours in (4, 9)
    )
    end = pd.Timestamp(ORIGIN) + pd.Timedelta(hours=4)
    beginning = long.table[~(long.table["time"] > end)].reset_index(drop=True)
    pd.testing.assert_frame_equal(beginning, short.table)


def test_the_truth_has_every_level_every_half_hour(cohort: Simulation) -> None:
    assert cohort.truth["numeric_value"].notna().all()
    kinds = {variable.name: variable.kind for variable in CHALLENGE}
    codes = set(cohort.truth["code"])
    assert {kinds[code] for code in codes} == {Kind.LEVEL, Kind.ORDINAL}
    assert codes == set(cohort.table["code"]) - {static.name for static in CHALLENGE.statics} - {
        "Urine",
        "MechVent",
    }
    assert len(cohort.truth) == NUM_SUBJECTS * 97 * len(codes)
    hours = (of(cohort.truth, "HR")["time"] - ORIGIN) / pd.Timedelta(hours=1)
    assert np.allclose(hours.to_numpy().reshape(NUM_SUBJECTS, 97), np.arange(97) / 2)


def test_the_truth_is_the_trajectory(cohort: Simulation, bodies: Trajectory) -> None:
    rows = cohort.truth.assign(hours=(cohort.truth["time"] - ORIGIN) / pd.Timedelta(hours=1))
    for name in ("MAP", "Lactate", "GCS"):
        one = of(rows, name)
        expected = true_values(bodies, bodies.levels[name], one)
        np.testing.assert_allclose(one["numeric_value"], expected, rtol=1e-6)


@pytest.mark.parametrize("name", sorted(CHARTED.keys() - MEAN_OF.keys() - {"GCS", "FiO2", "SaO2"}))
def test_observations_are_the_truth_with_the_stated_noise(
    cohort: Simulation, bodies: Trajectory, name: str
) -> None:
    rows, how = of(observations(cohort), name), CHARTED[name]
    truth = true_values(bodies, bodies.levels[name], rows)
    expected = np.hypot(
        how.deviation + how.relative_deviation * truth, how.resolution / np.sqrt(12)
    )
    score = (rows["numeric_value"].to_numpy(dtype=np.float64) - truth) / expected
    size = 1 / np.sqrt(len(score))
    assert abs(score.mean()) < 4 * size
    assert abs(score.std() - 1) < 4 * size + 0.02  # noise is cut at three deviations


@pytest.mark.parametrize("name", ["GCS", "FiO2", "SaO2"])
def test_bounded_values_stay_near_the_truth(
    cohort: Simulation, bodies: Trajectory, name: str
) -> None:
    rows, how = of(observations(cohort), name), CHARTED[name]
    truth = true_values(bodies, bodies.levels[name], rows)
    error = np.abs(rows["numeric_value"].to_numpy() - truth)
    assert error.max() <= 3 * how.deviation + how.resolution / 2 + 1e-6


@pytest.mark.parametrize("name", sorted(CHARTED))
def test_values_are_rounded_as_a_monitor_does(cohort: Simulation, name: str) -> None:
    values = of(cohort.table, name)["numeric_value"].to_numpy(dtype=np.float64)
    if name == "FiO2":  # room air is 0.21, between two steps
        values = values[np.abs(values - 0.21) > 1e-6]
    steps = values / CHARTED[name].resolution
    np.testing.assert_allclose(steps, np.rint(steps), atol=2e-4)


@pytest.mark.parametrize(("mean", "parts"), MEAN_OF.items())
def test_charted_mean_pressure_agrees_with_its_parts(
    cohort: Simulation, mean: str, parts: tuple[str, str]
) -> None:
    wide = observations(cohort).pivot(
        index=["subject_id", "time"], columns="code", values="numeric_value"
    )
    systolic, diastolic = (wide[part].dropna() for part in parts)
    assert (systolic > diastolic).all()
    gap = (wide[mean] - diastolic - (systolic - diastolic) / 3).dropna()
    # Rounding: of the mean itself, a third of the systolic, two thirds of the diastolic.
    expected = np.sqrt(CHARTED[mean].deviation ** 2 + (1 + 1 / 9 + 4 / 9) / 12)
    assert abs(gap.mean()) < 0.1
    assert gap.std() == pytest.approx(expected, rel=0.06)


def test_urine_amounts_add_up_to_the_flow(cohort: Simulation, bodies: Trajectory) -> None:
    rows = of(observations(cohort), "Urine")
    assert (rows["numeric_value"] >= 0).all()
    total = rows.groupby("subject_id")["numeric_value"].cumsum()
    flowed = true_values(bodies, bodies.urine, rows)
    # A bag is read to half a graduation and three deviations, however many entries there were.
    assert np.abs(total - flowed).max() < 2.5 + 3 * 4.0 + 1e-3


def test_ventilation_is_charted_as_one_and_only_while_it_lasts(
    cohort: Simulation, bodies: Trajectory
) -> None:
    rows = of(observations(cohort), "MechVent")
    assert (rows["numeric_value"] == 1).all()
    assert (true_values(bodies, bodies.ventilated, rows) > 0.5).all()
    assert 0.3 < rows["subject_id"].nunique() / NUM_SUBJECTS < 0.75


def test_a_subject_has_a_line_or_a_cuff(cohort: Simulation) -> None:
    line = set(of(cohort.table, "MAP")["subject_id"])
    cuff = set(of(cohort.table, "NIMAP")["subject_id"])
    assert not line & cuff
    assert 0.45 < len(line) / NUM_SUBJECTS < 0.75


@pytest.mark.parametrize(
    "panel", [("pH", "PaCO2", "PaO2"), ("Na", "K", "HCO3", "BUN", "Creatinine")]
)
def test_a_panel_shares_its_times(cohort: Simulation, panel: tuple[str, ...]) -> None:
    keys = ["subject_id", "time"]
    first, *others = (set(map(tuple, of(cohort.table, name)[keys].to_numpy())) for name in panel)
    assert first
    assert all(other == first for other in others)


def test_vitals_are_hourly_and_blood_is_six_hourly(cohort: Simulation) -> None:
    rows = observations(cohort)
    gaps = rows.groupby(["subject_id", "code"])["hours"].diff().groupby(rows["code"]).median()
    assert gaps[["HR", "MAP", "NIMAP"]].between(0.8, 1.3).all()
    assert gaps[["K", "HCT"]].between(5.5, 7.0).all()


def test_somebody_looks_oftener_in_a_crisis(cohort: Simulation) -> None:
    pressure = of(cohort.truth, "MAP")["numeric_value"].to_numpy().reshape(NUM_SUBJECTS, 97)
    ill = (pressure[:, :-1] < 60) & (pressure[:, 1:] < 60)
    well = (pressure[:, :-1] > 70) & (pressure[:, 1:] > 70)
    rows = of(observations(cohort), "HR")
    looked = np.zeros_like(ill, dtype=np.int64)
    np.add.at(looked, (rows["subject_id"] - 1, (2 * rows["hours"]).astype(int)), 1)
    assert ill.sum() > 50
    assert looked[ill].mean() > 1.5 * looked[well].mean()


def test_records_have_the_size_of_a_stay_and_differ_in_it(cohort: Simulation) -> None:
    counts = observations(cohort).groupby("subject_id").size()
    assert 200 < counts.mean() < 340
    ordinary, sparse = counts.between(150, 350).mean(), (counts < 150).mean()
    assert ordinary > 0.6
    assert 0.05 < sparse < 0.3


@pytest.mark.parametrize("name", ["Lactate", "RespRate", "SaO2", "pH", "FiO2"])
def test_some_variables_are_never_measured_in_some_subjects(cohort: Simulation, name: str) -> None:
    assert 0.3 < of(cohort.table, name)["subject_id"].nunique() / NUM_SUBJECTS < 0.9


def test_one_variable_tells_about_another(cohort: Simulation) -> None:
    wide = cohort.truth.pivot(index=["subject_id", "time"], columns="code", values="numeric_value")
    within = wide - wide.groupby("subject_id").transform("mean")
    together = within.corr(method="spearman")
    assert together.loc["Lactate", "HCO3"] < -0.3
    assert together.loc["MAP", "Lactate"] < -0.3
    assert together.loc["Temp", "HR"] > 0.2
    assert together.loc["FiO2", "PaO2"] > 0.2


def test_a_stay_without_a_slot_has_statics_only() -> None:
    short = simulate(2, generator=np.random.default_rng(0), duration_hours=0.1)
    assert short.table["time"].isna().all()
    assert short.truth["time"].unique().tolist() == [pd.Timestamp(ORIGIN)]


@pytest.mark.parametrize(
    ("num_subjects", "hours", "message"),
    [(0, 48.0, "`num_subjects` must be at least 1"), (-3, 48.0, "`num_subjects` must be at least")]
    + [(1, hours, "`duration_hours` must be") for hours in (0.0, -1.0, np.nan, np.inf)],
)
def test_an_impossible_cohort_is_refused(num_subjects: int, hours: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        simulate(num_subjects, generator=np.random.default_rng(0), duration_hours=hours)
