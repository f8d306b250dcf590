"""The wheel holds the three packages and nothing else, and the lock file pins what is declared."""

import json
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).resolve().parent.parent
PACKAGES = {"model", "service", "training"}
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def run(*arguments: str, cwd: Path) -> str:
    """Run Python with these arguments and return what it printed; a failure shows its words."""
    finished = subprocess.run(
        [sys.executable, *arguments], cwd=cwd, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # The backend is called directly: no isolated environment, so no network.
    folder = tmp_path_factory.mktemp("wheel")
    run("-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder), cwd=REPOSITORY)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def wheel_names(wheel: Path) -> set[str]:
    return set(zipfile.ZipFile(wheel).namelist())


def source_files() -> set[str]:
    return {
        path.relative_to(REPOSITORY).as_posix()
        for package in PACKAGES
        for path in (REPOSITORY / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_wheel_holds_exactly_three_packages(wheel_names: set[str]) -> None:
    top_level = {name.split("/")[0] for name in wheel_names}
    assert top_level == PACKAGES | {f"lacuna-{PROJECT['version']}.dist-info"}


def test_wheel_holds_every_file_of_the_packages_and_no_other(wheel_names: set[str]) -> None:
    packaged = {name for name in wheel_names if ".dist-info/" not in name}
    assert packaged == source_files()


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_wheel_marks_each_package_as_typed(wheel_names: set[str], package: str) -> None:
    assert {f"{package}/__init__.py", f"{package}/py.typed"} <= wheel_names


def test_wheel_is_private_and_carries_its_licenses(wheel: Path, wheel_names: set[str]) -> None:
    information = f"lacuna-{PROJECT['version']}.dist-info"
    assert {f"{information}/licenses/LICENSE", f"{information}/licenses/NOTICE"} <= wheel_names
    metadata = zipfile.ZipFile(wheel).read(f"{information}/METADATA").decode()
    assert "Classifier: Private :: Do Not Upload" in metadata.splitlines()


def test_import_names_belong_to_us_alone(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    script = (
        "import importlib.metadata, json, sys; sys.path.insert(0, sys.argv[1]); "
        "print(json.dumps(importlib.metadata.packages_distributions()))"
    )
    owners = json.loads(run("-c", script, str(tmp_path), cwd=tmp_path))
    assert {name: set(owners[name]) for name in PACKAGES} == {name: {"lacuna"} for name in PACKAGES}


def declared_requirements() -> list[Requirement]:
    groups = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    requirements = [Requirement(line) for group in groups for line in group]
    return [requirement for requirement in requirements if requirement.name != "lacuna"]


def locked_versions() -> dict[str, str]:
    text = (REPOSITORY / "requirements.lock").read_text(encoding="utf-8")
    pins = [line.split("==") for line in text.splitlines() if line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pins}


@pytest.mark.parametrize("requirement", declared_requirements(), ids=str)
def test_lock_pins_every_declared_dependency(requirement: Requirement) -> None:
    assert requirement.specifier.contains(locked_versions()[canonicalize_name(requirement.name)])


def test_lock_fits_every_machine() -> None:
    # A local version ("+cpu") or a path would tie the file to the machine that wrote it.
    for name, version in locked_versions().items():
        assert re.fullmatch(r"[0-9][0-9a-z.]*", version), f"{name}=={version}"


def test_changelog_has_the_current_version() -> None:
    changelog = (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## [{PROJECT['version']}]" in changelog
