"""Pages that need no server run from their first block to their last; links and options exist."""

import re
from pathlib import Path

import pytest
import typer

from tests.conftest import REPOSITORY
from tests.documentation.pages import SCRIPTS, Page, all_pages
from tests.documentation.scripts import run_page

_LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")
_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]+")
# Of programs that are not ours.
_FOREIGN = {
    *("--silent", "--no-buffer", "--header", "--data-binary", "--form", "--output"),  # curl
    *("--tag", "--read-only", "--tmpfs", "--publish", "--volume", "--env"),  # docker
    *("--durations", "--fix"),  # pytest, ruff
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_page_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_page(Page.read(name), tmp_path, monkeypatch)


@pytest.mark.parametrize("page", [*all_pages()], ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Page) -> None:
    folder = (REPOSITORY / page.name).parent
    links = [one for one in _LINK.findall(page.text) if "://" not in one]
    assert [one for one in links if not (folder / one).exists()] == []


def _options(command: object) -> set[str]:
    found = {
        name for one in getattr(command, "params", ()) for name in (*one.opts, *one.secondary_opts)
    }
    for inner in getattr(command, "commands", {}).values():
        found |= _options(inner)
    return found


def test_every_option_that_a_page_names_exists() -> None:
    from service.__main__ import app as service  # noqa: PLC0415
    from training.__main__ import app as training  # noqa: PLC0415

    known = _FOREIGN | {"--help"}
    for app in (service, training):
        known |= _options(typer.main.get_command(app))
    for page in all_pages():
        if page.name != "CHANGELOG.md":
            assert set(_OPTION.findall(page.text)) <= known, page.name
