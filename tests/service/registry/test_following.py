"""What is loaded follows the registry; a bad version changes nothing but what is said about it."""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from model.artifact import load_artifact
from model.runtime.predictor import Predictor
from service.errors import InvalidRequestError
from service.registry.errors import NotReadyError
from service.registry.following import RegistryFollower
from service.registry.loaded import LoadedModels, Refusal
from service.registry.registry import Activation, Registry
from service.settings import Settings
from tests.service.registry.versions import activate, add, flip_a_bit, roll_back


class Following:
    """A follower, what it loads into, and short names for what is loaded."""

    def __init__(self, registry: Registry) -> None:
        self.models = LoadedModels(retry_after_seconds=1)
        self.follower = RegistryFollower(registry, self.models, Settings(device="cpu"))
        self.look = self.follower.look

    @property
    def versions(self) -> list[str]:
        return [one.artifact.manifest.version for one in self.models.predictors]

    @property
    def refusal(self) -> Refusal:
        (only,) = self.models.refusals
        return only


@pytest.fixture
def following(registry: Registry) -> Following:
    started = Following(registry)
    started.look()
    assert started.versions == ["1"]
    return started


def test_activation_and_rollback_are_followed(registry: Registry, following: Following) -> None:
    first = following.models.active
    activate(registry, "2")
    following.look()
    assert following.versions == ["2", "1"]
    second = following.models.active
    roll_back(registry)
    following.look()
    assert following.versions == ["1", "2"]
    # Neither was loaded again.
    assert following.models.predictors == (first, second)
    assert following.models.refusals == ()


def test_two_versions_stay_loaded(
    registry: Registry, following: Following, versions: Mapping[str, Path]
) -> None:
    add(registry, versions["3"], "3")
    for version in ("2", "3"):
        activate(registry, version)
        following.look()
    assert following.versions == ["3", "2"]
    assert following.models.of_version(None) is following.models.active
    assert following.models.of_version("2") is following.models.predictors[1]
    with pytest.raises(InvalidRequestError, match="expected one of: 3, 2") as refused:
        following.models.of_version("1")
    assert refused.value.code == "model_version_not_loaded"


def test_after_a_start_the_version_before_is_loaded_too(registry: Registry) -> None:
    activate(registry, "2")
    started = Following(registry)
    started.look()
    assert started.versions == ["2", "1"]


def test_nothing_is_loaded_twice(
    registry: Registry, following: Following, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(*_: object, **__: object) -> Predictor:
        raise AssertionError

    monkeypatch.setattr("service.registry.following.open_as_set", load)
    for _ in range(3):
        following.look()
    activate(registry, "1")
    following.look()
    assert following.models.refusals == ()


def _fail_the_self_test(directory: Path) -> None:
    from tests.artifacts import write_again  # noqa: PLC0415

    artifact = load_artifact(directory)
    assert artifact.golden is not None
    golden = replace(
        artifact.golden, mean=artifact.golden.mean + 0.01 * artifact.golden.standard_deviation
    )
    write_again(replace(artifact, golden=golden), directory)


def _be_another_version(directory: Path) -> None:
    shutil.copytree(directory.parent / "1", directory, dirs_exist_ok=True)


def _put_a_folder_in_place(directory: Path) -> None:
    (directory / "card.md").unlink()
    (directory / "card.md").mkdir()


BREAKAGES: Mapping[str, tuple[Callable[[Path], object], str]] = {
    "a bit": (flip_a_bit, "weights.safetensors was altered"),
    "golden": (lambda d: flip_a_bit(d, "golden.json"), "golden.json was altered"),
    "self-test": (_fail_the_self_test, "the self-test failed"),
    "no directory": (shutil.rmtree, "version 2 is not in the registry; it has 1"),
    "no weights": (lambda d: (d / "weights.safetensors").unlink(), "is missing"),
    "extra file": (lambda d: (d / "extra").write_text("x"), "unknown file extra in version 2"),
    "no manifest": (lambda d: (d / "manifest.json").unlink(), "version 2 is not an artifact"),
    "not a file": (_put_a_folder_in_place, "card.md is missing"),
    "another version": (_be_another_version, "its manifest says that it is version 1"),
}


@pytest.mark.parametrize("name", BREAKAGES)
def test_a_bad_version_leaves_the_old_one_serving(
    registry: Registry, following: Following, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    before = following.models.active
    break_it, expected = BREAKAGES[name]
    break_it(registry.directory / "2")
    activate(registry, "2")
    for _ in range(5):
        following.look()
    assert following.models.predictors == (before,)
    assert following.refusal.version == "2"
    assert expected in following.refusal.reason
    assert str(registry.directory) not in following.refusal.reason
    # Logged once, not at every look.
    assert caplog.text.count("refused") == 1
    with pytest.raises(InvalidRequestError):
        following.models.of_version("2")


def test_a_version_that_was_mended_is_tried_again(
    registry: Registry, following: Following, versions: Mapping[str, Path]
) -> None:
    """As when a slower copy brings the files after registry.json."""
    shutil.rmtree(registry.directory / "2")
    activate(registry, "2")
    following.look()
    (registry.directory / "2").mkdir()
    for file in sorted(versions["2"].iterdir()):
        assert following.versions == ["1"]
        shutil.copy(file, registry.directory / "2")
        following.look()
    assert following.versions == ["2", "1"]
    assert following.models.refusals == ()


def test_a_rollback_takes_the_refusal_back(registry: Registry, following: Following) -> None:
    flip_a_bit(registry.directory / "2")
    activate(registry, "2")
    following.look()
    roll_back(registry)
    following.look()
    assert following.versions == ["1"]
    assert following.models.refusals == ()


@pytest.mark.parametrize("content", ["", '{"active": "2", "ear', "[]", '{"active": "../../x"}'])
def test_half_a_record_changes_nothing_until_it_is_whole(
    registry: Registry, following: Following, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    whole = registry.record_path.read_text(encoding="utf-8")
    registry.record_path.write_text(content, encoding="utf-8")
    for _ in range(5):
        following.look()
    assert following.versions == ["1"]
    assert following.refusal.version is None
    assert "registry.json is not whole" in following.refusal.reason
    assert caplog.text.count("refused") == 1
    registry.record_path.write_text(whole.replace('"1"', '"2"'), encoding="utf-8")
    following.look()
    assert following.versions == ["2", "1"]


def test_a_registry_that_is_gone_changes_nothing(registry: Registry, following: Following) -> None:
    away = registry.directory.with_name("away")
    registry.directory.rename(away)
    following.look()
    following.look()
    assert following.versions == ["1"]
    assert "registry.json cannot be read" in following.refusal.reason
    assert str(registry.directory) not in following.refusal.reason
    away.rename(registry.directory)
    following.look()
    assert following.models.refusals == ()


def test_a_start_with_a_bad_version_is_not_ready_until_a_good_one(registry: Registry) -> None:
    flip_a_bit(registry.directory / "2")
    activate(registry, "2")
    started = Following(registry)
    with pytest.raises(NotReadyError) as waiting:
        started.models.require_ready()
    assert waiting.value.code == "not_ready"
    started.look()
    assert started.models.has_failed
    with pytest.raises(NotReadyError) as failed:
        started.models.of_version("1")
    assert failed.value.code == "load_failed"
    roll_back(registry)
    started.look()
    assert started.versions == ["1"]
    assert not started.models.has_failed


def test_an_unforeseen_failure_is_a_refusal(
    registry: Registry, following: Following, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(directory: Path, *_: object, **__: object) -> Predictor:
        raise MemoryError(f"no room for {directory}")

    monkeypatch.setattr("service.registry.following.open_as_set", fail)
    activate(registry, "2")
    following.look()
    assert following.versions == ["1"]
    assert following.refusal == Refusal("2", "it could not be loaded (MemoryError); see the log")


def test_an_older_artifact_without_golden_series_is_served_with_a_warning(
    registry: Registry, following: Following, tiny_artifact: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from tests.artifacts import write_version  # noqa: PLC0415

    write_version(tiny_artifact, registry.directory / "old", "old", has_golden=False)
    activate(registry, "old")
    following.look()
    assert following.versions == ["old", "1"]
    assert "carries no golden.json" in caplog.text


def test_no_active_version_is_said(registry: Registry, following: Following) -> None:
    registry.write(Activation())
    following.look()
    assert following.versions == ["1"]
    assert "no version is active" in following.refusal.reason
    content = json.loads(registry.record_path.read_text(encoding="utf-8"))
    assert content == {"active": None, "earlier": []}
