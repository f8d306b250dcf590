"""The registry on disk: nobody ever sees half of a change, and what was active can come back."""

import json
import shutil
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.artifact import load_artifact
from service.registry.registry import Activation, Registry, RegistryError, active_artifact_dir
from tests.service.registry.versions import activate, add

NAMES = st.sampled_from(["1", "2", "3", "2026-11-24", "next_one"])


@given(st.lists(NAMES))
def test_rollbacks_undo_activations_in_their_order(sequence: list[str]) -> None:
    activation = Activation()
    for version in sequence:
        activation = activation.activate(version)
        assert activation.active == version
        assert activation.activate(version) == activation
    # What was active, each version at its last time.
    latest = list(dict.fromkeys(reversed(sequence)))
    found = []
    while activation.active is not None:
        found.append(activation.active)
        if not activation.earlier:
            break
        activation = activation.roll_back()
    assert found == latest


def test_without_an_earlier_version_there_is_no_rollback() -> None:
    with pytest.raises(RegistryError, match="no version was active before"):
        Activation("1").roll_back()


@given(st.lists(NAMES, unique=True))
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, names: list[str]
) -> None:
    registry = Registry.open_or_make(tmp_path_factory.mktemp("registry"))
    activation = Activation(names[-1] if names else None, tuple(names[:-1]))
    registry.write(activation)
    assert registry.read() == activation


def test_a_version_is_copied_whole_and_found(
    registry: Registry, versions: Mapping[str, Path]
) -> None:
    assert registry.versions() == ["1", "2"]
    for version in ("1", "2"):
        copied = load_artifact(registry.artifact_dir(version))
        assert copied.sha256 == load_artifact(versions[version]).sha256
    assert active_artifact_dir(registry.directory) == registry.artifact_dir("1")
    assert active_artifact_dir(versions["3"]) == versions["3"]


def test_a_version_is_never_replaced(registry: Registry, versions: Mapping[str, Path]) -> None:
    before = (registry.artifact_dir("2") / "manifest.json").read_bytes()
    with pytest.raises(RegistryError, match="version 2 is taken"):
        add(registry, versions["3"], "2")
    # Also if it comes while another copy is being checked.
    with (
        pytest.raises(RegistryError, match="version 4 is taken"),
        registry.adding(versions["3"], "4") as copy,
    ):
        shutil.copytree(copy, registry.directory / "4")
    assert (registry.artifact_dir("2") / "manifest.json").read_bytes() == before
    assert not list(registry.directory.glob(".*.adding"))


def test_a_copy_that_fails_its_check_leaves_nothing(
    registry: Registry, versions: Mapping[str, Path]
) -> None:
    with pytest.raises(ZeroDivisionError), registry.adding(versions["3"], "3"):
        raise ZeroDivisionError
    assert registry.versions() == ["1", "2"]
    assert sorted(path.name for path in registry.directory.iterdir()) == [
        ".lock",
        "1",
        "2",
        "registry.json",
    ]


@pytest.mark.parametrize(
    "version", ["", ".", "..", "../1", "a/b", "/etc", ".hidden", "-", "ä", "1\n", "x" * 65]
)
def test_a_version_names_no_other_place(
    registry: Registry, versions: Mapping[str, Path], version: str
) -> None:
    with pytest.raises(RegistryError):
        add(registry, versions["3"], version)
    with pytest.raises(RegistryError):
        registry.artifact_dir(version)
    content = json.dumps({"active": version, "earlier": []})
    registry.record_path.write_text(content, encoding="utf-8")
    with pytest.raises(RegistryError, match="not whole"):
        registry.read()


@pytest.mark.parametrize(
    "content",
    [
        "",
        '{"active": "1", "earl',
        "[]",
        "null",
        '{"active": "1"}',
        '{"earlier": []}',
        '{"active": 1, "earlier": []}',
        '{"active": "1", "earlier": "2"}',
        '{"active": "1", "earlier": [null]}',
        "\udcff",
    ],
)
def test_a_record_that_is_not_whole_is_refused(registry: Registry, content: str) -> None:
    registry.record_path.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(RegistryError, match=r"registry\.json is not whole"):
        registry.read()
    registry.record_path.unlink()
    with pytest.raises(RegistryError, match=r"registry\.json cannot be read"):
        registry.read()


def test_a_reader_never_sees_half_of_a_change(registry: Registry) -> None:
    is_over = threading.Event()

    def read() -> set[Activation]:
        seen = set()
        while not is_over.is_set():
            seen.add(registry.read())
        return seen

    with ThreadPoolExecutor(2) as pool:
        readers = [pool.submit(read) for _ in range(2)]
        for number in range(200):
            activate(registry, "12"[number % 2])
        is_over.set()
        seen = set().union(*(reader.result() for reader in readers))
    assert seen <= {Activation("1", ()), Activation("1", ("2",)), Activation("2", ("1",))}


def test_concurrent_activations_lose_none(registry: Registry) -> None:
    """As many as run at one time: each is built on the one before, and none on half of one."""
    names = [f"v{number}" for number in range(12)]

    def activate_alone(version: str) -> None:
        with Registry(registry.directory).locked():
            activate(registry, version)

    with ThreadPoolExecutor(len(names)) as pool:
        list(pool.map(activate_alone, names))
    activation = registry.read()
    assert {activation.active, *activation.earlier} == {"1", *names}
    assert activation.earlier[0] == "1"


def test_only_an_empty_folder_becomes_a_registry(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="is not a registry"):
        Registry.open(tmp_path)
    assert Registry.open_or_make(tmp_path / "new" / "one").read() == Activation()
    assert Registry.open_or_make(tmp_path / "new" / "one").read() == Activation()
    (tmp_path / "thesis.txt").write_text("years of work", encoding="utf-8")
    with pytest.raises(RegistryError, match="other files"):
        Registry.open_or_make(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "thesis.txt"]


def test_a_registry_without_an_active_version_has_nothing_to_serve(tmp_path: Path) -> None:
    registry = Registry.open_or_make(tmp_path)
    with pytest.raises(RegistryError, match="no active version"):
        active_artifact_dir(registry.directory)
