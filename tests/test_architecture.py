"""The import rules of the architecture hold, and the contracts that guard them can fail."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
PACKAGES = ("model", "service", "training")
LINT_IMPORTS = "from importlinter.cli import lint_imports_command; lint_imports_command()"
IGNORED = shutil.ignore_patterns("__pycache__")
NO_WEB = "model, training and the process of the model know no web framework"


def lint_imports(root: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", LINT_IMPORTS, "--no-cache", "--no-logo"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def copied_packages(tmp_path: Path) -> Path:
    for package in PACKAGES:
        shutil.copytree(REPOSITORY / package, tmp_path / package, ignore=IGNORED)
    shutil.copy(REPOSITORY / "pyproject.toml", tmp_path)
    return tmp_path


def test_contracts_are_kept() -> None:
    linted = lint_imports(REPOSITORY)
    assert linted.returncode == 0, linted.stdout + linted.stderr
    assert "0 broken" in linted.stdout


@pytest.mark.parametrize(
    ("module", "statement", "contract"),
    [
        ("service/offence.py", "import training", "service and training meet only in model"),
        ("training/offence.py", "import service", "service and training meet only in model"),
        ("model/offence.py", "import service", "service and training meet only in model"),
        ("model/ode/offence.py", "import model.data", "inside model, ode and data are leaves"),
        ("model/data/offence.py", "import model.ode", "inside model, ode and data are leaves"),
        ("model/ode/offence.py", "import model.decoder", "inside model, ode and data are leaves"),
        (
            "service/jobs/ledger/offence.py",
            "import service.jobs.planning",
            "inside service.jobs, the rooms point one way",
        ),
        ("model/data/offence.py", "import torch", "model.data is numpy only"),
        ("model/data/offence.py", "import pandas.api", "model.data is numpy only"),
        ("model/data/offence.py", "import onnxruntime", "model.data is numpy only"),
        ("model/offence.py", "import fastapi", NO_WEB),
        ("training/offence.py", "import uvicorn", NO_WEB),
        ("service/model_process/offence.py", "import service.app", NO_WEB),
    ],
)
def test_contract_fails_when_broken(
    copied_packages: Path, module: str, statement: str, contract: str
) -> None:
    (copied_packages / module).write_text(f"{statement}\n", encoding="utf-8")
    linted = lint_imports(copied_packages)
    assert linted.returncode == 1, linted.stdout + linted.stderr
    assert f"{contract} BROKEN" in linted.stdout
    assert "offence" in linted.stdout


def test_contract_fails_on_an_indirect_import(copied_packages: Path) -> None:
    (copied_packages / "model/tensors.py").write_text("import torch\n", encoding="utf-8")
    (copied_packages / "model/data/offence.py").write_text(
        "import model.tensors\n", encoding="utf-8"
    )
    linted = lint_imports(copied_packages)
    assert linted.returncode == 1, linted.stdout + linted.stderr
    assert "model.data is numpy only BROKEN" in linted.stdout


def test_contract_fails_when_the_onnx_path_finds_a_way_to_torch(copied_packages: Path) -> None:
    with (copied_packages / "model/runtime/network.py").open("a", encoding="utf-8") as file:
        file.write("\nimport torch\n")
    linted = lint_imports(copied_packages)
    assert linted.returncode == 1, linted.stdout + linted.stderr
    assert "the ONNX path never imports torch BROKEN" in linted.stdout
    assert "model.runtime.onnx_network -> model.runtime.network" in linted.stdout


def test_model_data_loads_numpy_only() -> None:
    # The contracts read import statements; this also sees what the packages above model.data load.
    script = """
import importlib, pkgutil, sys
import model.data
for module in pkgutil.walk_packages(model.data.__path__, "model.data."):
    importlib.import_module(module.name)
forbidden = {"torch", "pandas", "pyarrow", "pydantic", "fastapi", "onnxruntime", "scipy"}
print(*sorted(forbidden & sys.modules.keys()), sep=",")
"""
    loaded = subprocess.run(
        [sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert loaded.returncode == 0, loaded.stderr
    assert loaded.stdout.strip() == ""


def test_docker_folder_is_not_a_package() -> None:
    assert not (REPOSITORY / "docker" / "__init__.py").exists()
