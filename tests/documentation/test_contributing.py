"""What CONTRIBUTING tells a stranger to do can be done."""

import os
import re
import shlex
import subprocess
import sys

from tests.conftest import REPOSITORY
from tests.documentation.pages import CONTRIBUTING, Page

PAGE = Page.read(CONTRIBUTING)
_PATH = re.compile(r"`((?:model|service|training|tests|docs)/[\w/.-]*)`")


def test_the_first_test_runs_alone_and_the_others_exist() -> None:
    first, *others = map(shlex.split, PAGE.commands())
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    ran = subprocess.run(
        [sys.executable, *first[1:]],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout
    for command in others:
        assert command[:-1] == first[:-1]
        assert (REPOSITORY / command[-1]).is_file()


def test_every_path_and_every_target_of_make_exists() -> None:
    paths = _PATH.findall(PAGE.text)
    assert len(paths) > 10
    assert [path for path in paths if not (REPOSITORY / path).exists()] == []
    targets = re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.M)
    assert set(re.findall(r"(?:`|\$ )make ([a-z-]+)", PAGE.text)) <= set(targets)


def test_every_folder_of_the_map_exists() -> None:
    root = REPOSITORY
    lines = PAGE.shown("Where does my change go", "text").splitlines()
    for line in lines:
        inside = line.startswith("  ")
        names = re.match(r"\s*((?:[\w.]+(?:/|\.py)\s)+)", line + " ")
        assert names is not None, line
        if not inside:
            root = REPOSITORY / names[1].split()[0]
        for name in names[1].split():
            assert (root / name if inside else root).exists(), name
