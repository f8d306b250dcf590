"""Every word of the glossary occurs where the glossary says that it is defined."""

import re

import pytest

from tests.conftest import REPOSITORY
from tests.documentation.pages import Page

ROWS = re.findall(r"^\| ([a-z ]+) \| (.+) \| `(.+)` \|$", Page.read("docs/glossary.md").text, re.M)


def test_every_word_is_there_once() -> None:
    words = [word for word, *_ in ROWS]
    assert len(words) == len(set(words)) > 40


@pytest.mark.parametrize(("word", "file"), [(word, file) for word, _, file in ROWS])
def test_the_word_occurs_in_the_code(word: str, file: str) -> None:
    text = (REPOSITORY / file).read_text(encoding="utf-8")
    # As a word, or as a part of a name: `plausible_range`, `num_knots`, `MissingSeries`.
    pattern = r"[ _]".join(word.split())
    assert re.search(pattern, text, re.IGNORECASE), (word, file)
