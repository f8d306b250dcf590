"""Published rows, the ledger of records, and the command that prints the table."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.training.protocols.parts import protocol, random_part
from training.__main__ import app
from training.protocols import ledger
from training.protocols.answers import LEVELS, Answers
from training.protocols.bars import LEAST_SQUARES, VariableMean
from training.protocols.catalogue import NAMES, load
from training.protocols.latent import LATENT
from training.protocols.ledger import ProtocolRecordsError
from training.protocols.published import STATUS_TEXT, published_rows, read_rows
from training.protocols.run import write_table
from training.protocols.scores import score


def test_every_published_number_has_a_score_of_ours_and_a_source() -> None:
    one = random_part(np.random.default_rng(0))
    values = one.targets.values
    quantiles = np.repeat(values[None], len(LEVELS), axis=0)
    answers = Answers(values, values, quantiles, np.zeros(len(values)))
    rows = read_rows()
    assert {row.protocol for row in rows} == set(NAMES)
    for row in rows:
        scores = score(protocol(row.protocol, one), one, answers)
        # A joint likelihood of several targets is more than `Answers` holds.
        assert all(found.metric in scores or found.metric == "njnll" for found in row.values)
        assert all(found.status in STATUS_TEXT for found in row.values)
        assert row.source
        assert row.sets in ("A", "A+B", "A+B+C")
    models = [(row.protocol, row.model, row.options) for row in rows]
    assert len(models) == len(set(models))


def test_only_rows_of_the_same_options_compare(made_up: Path) -> None:
    most = published_rows(load("csdi-imputation", made_up, hidden=0.9))
    found = next(row.find("mae") for row in most if row.model == "CSDI")
    assert found is not None
    assert found.value == 0.481
    bench = published_rows(load("saits-imputation", made_up, variant="tsi-bench"))
    assert {row.sets for row in bench} == {"A"}
    assert not any(row.model == "BRITS" and row.find("rmse") for row in bench)


def test_a_stored_entry_is_found_again_and_an_altered_record_is_noticed(
    made_up: Path, tmp_path: Path
) -> None:
    loaded = load("csdi-imputation", made_up)
    assert not ledger.check(loaded, tmp_path)
    path = ledger.write(loaded, tmp_path)
    assert path.name == "csdi-imputation.a-seed-1-fold-0-hidden-0.1.json"
    assert ledger.check(loaded, tmp_path)
    test = loaded.test
    mask = test.target_mask.copy()
    mask[0] = ~mask[0]
    with pytest.raises(ProtocolRecordsError, match="masks of test"):
        ledger.check(replace(loaded, test=replace(test, target_mask=mask)), tmp_path)
    fewer = replace(loaded, num_records=loaded.num_records - 1)
    assert not ledger.check(fewer, tmp_path)


def test_a_method_has_its_row_beside_the_bars_and_the_published(
    made_up: Path, tmp_path: Path
) -> None:
    loaded = load("csdi-imputation", made_up, seed=2, fold=1, hidden=0.5)
    table = write_table(loaded, {LATENT: VariableMean(np.ones(35))}, tmp_path)
    assert (tmp_path / "table.md").read_text() == table
    assert "# csdi-imputation, sets A, seed 2, fold 1, hidden 0.5" in table
    assert "| CSDI | 0.301 | 0.614 | 0.330 | A | R/N |" in table
    assert f"| **{LATENT}** |" in table
    written = json.loads((tmp_path / "scores.json").read_text())
    assert written["options"] == {"fold": "1", "hidden": "0.5"}
    methods = {method["name"]: method for method in written["methods"]}
    assert methods[LEAST_SQUARES]["ratio_to_least_squares"] == {}
    ratio = methods[LATENT]["ratio_to_least_squares"]["mae"]
    expected = methods[LATENT]["scores"]["mae"] / methods[LEAST_SQUARES]["scores"]["mae"]
    assert ratio["value"] == pytest.approx(expected)
    assert ratio["low"] < ratio["value"] < ratio["high"]


def test_the_command_line_passes_options_on(made_up: Path, tmp_path: Path) -> None:
    arguments = ["protocol", "csdi-imputation", "--data", str(made_up), "--out", str(tmp_path)]
    runner = CliRunner()
    result = runner.invoke(app, [*arguments, "--bars-only", "--set", "hidden=0.9"])
    assert result.exit_code == 0
    assert "hidden 0.9" in result.output
    refused = runner.invoke(app, [*arguments, "--bars-only", "--set", "hide=0.9"])
    assert isinstance(refused.exception, ValueError)
    assert "no option hide" in str(refused.exception)


@pytest.mark.parametrize("name", NAMES)
def test_every_protocol_has_a_table(name: str, made_up: Path, tmp_path: Path) -> None:
    table = write_table(load(name, made_up), {}, tmp_path)
    assert table.count("| M |") == (3 if name.endswith("forecast") else 4)
    assert "nan" not in table
