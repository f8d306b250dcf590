"""The artifact directory: what is written is read, and nothing else is."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.artifact import SCHEMA_VERSION, load_artifact, write_artifact
from model.calibration import Calibration
from model.config import LatentODEConfig
from model.data.normalization import Normalization
from model.errors import ArtifactError
from model.subjects import FittedSubjects
from tests.catalogues import CHALLENGE
from tests.series import random_cohort

CONFIG = LatentODEConfig(num_channels=len(CHALLENGE), num_statics=len(CHALLENGE.statics))
WEIGHTS = {"a.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.zeros(1, np.float32)}
NORMALIZATION = Normalization.fit(random_cohort(20, np.random.default_rng(0)), CHALLENGE)
SUBJECTS = FittedSubjects.of(["1", "2"], ["3"], ["4", "Ward 7/Ä"])
CALIBRATION = replace(
    Calibration.uncalibrated(len(CHALLENGE)), encoder_divergences=np.linspace(0, 3, 7)
)


def _write(directory: Path) -> Path:
    write_artifact(
        directory,
        config=CONFIG,
        weights=WEIGHTS,
        catalogue=CHALLENGE,
        subjects=SUBJECTS,
        normalization=NORMALIZATION,
        calibration=CALIBRATION,
        metrics={"error": 0.5},
        card="# A card\n",
        provenance={
            "name": "icu",
            "version": "3",
            "created": "2026-01-01T00:00:00+00:00",
            "seed": 0,
            "preset": "quick",
            "data_sha256": "d",
            "split_sha256": "s",
            "versions": {"torch": "2"},
        },
    )
    return directory


def test_what_is_written_is_read(tmp_path: Path) -> None:
    artifact = load_artifact(_write(tmp_path / "artifact"))
    assert artifact.config == CONFIG
    assert artifact.catalogue == CHALLENGE
    assert artifact.card == "# A card\n"
    assert artifact.metrics == {"error": 0.5}
    assert (artifact.manifest.name, artifact.manifest.version) == ("icu", "3")
    for name, value in WEIGHTS.items():
        np.testing.assert_array_equal(artifact.weights[name], value)
    np.testing.assert_array_equal(artifact.calibration.error_hours, CALIBRATION.error_hours)


def test_the_same_content_has_the_same_identity(tmp_path: Path) -> None:
    first, second = (load_artifact(_write(tmp_path / name)) for name in ("one", "two"))
    assert first.sha256 == second.sha256


def _flip_a_byte(directory: Path) -> None:
    path = directory / "weights.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def _unsealed(directory: Path) -> dict[str, Any]:
    """Read the manifest as it was before manifests had seals."""
    manifest: dict[str, Any] = json.loads((directory / "manifest.json").read_text())
    del manifest["seal"]
    return manifest


def _edit_manifest(key: str, value: object) -> Callable[[Path], None]:
    def edit(directory: Path) -> None:
        manifest = _unsealed(directory)
        (directory / "manifest.json").write_text(json.dumps({**manifest, key: value}))

    return edit


def _list_a_path_outside(directory: Path) -> None:
    manifest = _unsealed(directory)
    manifest["files"]["../secret"] = "0" * 64
    (directory / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("break_it", "expected"),
    [
        (_flip_a_byte, "weights.safetensors was altered"),
        (lambda d: (d / "config.json").unlink(), "config.json is missing"),
        (lambda d: (d / "manifest.json").unlink(), "manifest.json is missing"),
        (lambda d: (d / "extra.bin").write_text("x"), "unknown file extra.bin"),
        (_edit_manifest("schema_version", SCHEMA_VERSION + 1), "update the program"),
        (_edit_manifest("schema_version", SCHEMA_VERSION - 1), "fit the model again"),
        (_edit_manifest("files", {}), "unknown file"),
        (_edit_manifest("surprise", 1), "not a manifest"),
        (_list_a_path_outside, "unknown file ../secret"),
        (lambda d: (d / "manifest.json").write_text("no json"), "not a manifest"),
    ],
)
def test_a_directory_that_was_touched_is_refused_by_name(
    tmp_path: Path, break_it: Callable[[Path], object], expected: str
) -> None:
    directory = _write(tmp_path / "artifact")
    break_it(directory)
    with pytest.raises(ArtifactError, match=expected):
        load_artifact(directory)


def test_a_manifest_without_a_seal_is_read(tmp_path: Path) -> None:
    directory = _write(tmp_path / "artifact")
    _edit_manifest("version", "4")(directory)
    assert load_artifact(directory).manifest.version == "4"


def test_no_byte_of_a_manifest_changes_unseen(tmp_path: Path) -> None:
    directory = _write(tmp_path / "artifact")
    path = directory / "manifest.json"
    content = path.read_bytes()
    generator = np.random.default_rng(7)
    for place in range(len(content)):
        altered = bytearray(content)
        altered[place] ^= generator.integers(1, 256)
        path.write_bytes(altered)
        with pytest.raises(ArtifactError, match=r"manifest\.json"):
            load_artifact(directory)


def test_writing_replaces_an_artifact_and_nothing_else(tmp_path: Path) -> None:
    directory = _write(_write(tmp_path / "artifact"))
    assert load_artifact(directory).manifest.version == "3"
    other = tmp_path / "thesis"
    other.mkdir()
    (other / "chapter.txt").write_text("years of work")
    with pytest.raises(ArtifactError, match="not an artifact"):
        _write(other)
    assert (other / "chapter.txt").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["artifact", "thesis"]


def test_a_crash_between_the_renames_leaves_the_old_artifact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = _write(tmp_path / "artifact")
    rename = Path.rename
    with monkeypatch.context() as dying:

        def first_only(self: Path, target: Path) -> Path:
            if self != directory:
                raise KeyboardInterrupt
            return rename(self, target)

        dying.setattr(Path, "rename", first_only)
        with pytest.raises(KeyboardInterrupt):
            _write(directory)
    assert not directory.exists()
    assert load_artifact(directory).card == "# A card\n"
    _write(directory)
    assert [path.name for path in tmp_path.iterdir()] == ["artifact"]


def test_unusualness_is_the_share_of_smaller_divergences() -> None:
    found = CALIBRATION.unusualness(np.array([-1.0, 1.5, 99.0]))
    np.testing.assert_allclose(found, [0, 3 / 7, 1])
