"""The resources of FHIR files: NDJSON, one resource, or a Bundle, one after the other.

    *.ndjson, *.jsonl   one resource in a line; read some megabytes at a time
    *.json              one resource or one Bundle; also NDJSON under a wrong name
    Bundle              of any type, also inside NDJSON and inside another Bundle; each `entry.resource`

A reference inside a Bundle may name the `fullUrl` of another entry (`urn:uuid:...`). `Resource.references`
says which resource that is, because the id of the Patient may be another than its `fullUrl`.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NoReturn

from model.records.errors import SourceError
from model.records.sources.encodings import encoding_of, text_blocks
from model.records.sources.files import endings_of, open_bytes, reading, shown
from model.records.sources.lines import objects_of
from model.records.sources.options import SourceFormat

_LINES: Final = endings_of(SourceFormat.NDJSON)
FHIR_ENDINGS: Final = (*_LINES, ".json", ".json.gz", ".json.bz2", ".json.xz")
_WHAT: Final = "FHIR"
_SAMPLE_BYTES: Final = 2**14
_EXPECTED: Final = "expected FHIR R4: a resource, a Bundle, or one resource in every line (NDJSON)"
_NO_REFERENCES: Final[Mapping[str, str]] = {}


@dataclass(frozen=True)
class Resource:
    """One resource as the JSON parser gives it, whatever its type.

    `content` is None for an entry of a Bundle that has no resource. `references` is
    `Type/id` by the fullUrl of each entry of its Bundle.
    """

    content: dict[str, Any] | None
    full_url: str | None = None
    references: Mapping[str, str] = field(default_factory=lambda: _NO_REFERENCES)


def resources_of(file: Path) -> Iterator[Resource]:
    """Read the resources of a file in their order.

    Raises
    ------
    SourceError
        If the file cannot be opened, or something in it is no JSON object.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "one.ndjson"
    ...     _ = file.write_text('{"resourceType": "Patient"}')
    ...     [one.content for one in resources_of(file)]
    [{'resourceType': 'Patient'}]
    """
    for content in _objects(file):
        yield from _opened(Resource(content))


def _objects(file: Path) -> Iterator[dict[str, Any]]:
    if not file.name.lower().endswith(_LINES):
        text = _text(file)
        content = _parse(text)
        if isinstance(content, dict):
            yield content
            return
        if not isinstance(_parse(text.lstrip().partition("\n")[0]), dict):
            raise SourceError(f"it is no JSON object, or is cut off; {_EXPECTED}", name=shown(file))
    # NDJSON, also under the name of JSON: then its first line is a whole object.
    for found in objects_of(file, _WHAT):
        yield from found


def _text(file: Path) -> str:
    with reading(file, _WHAT):
        with open_bytes(file) as opened:
            encoding = encoding_of(opened.read(_SAMPLE_BYTES))
        return "".join(text_blocks(file, encoding))


def _parse(text: str) -> Any:
    """Parse JSON as RFC 8259 has it; None for everything else."""
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None


def _refuse(_: str) -> NoReturn:
    raise ValueError("NaN and Infinity are no JSON")


def _opened(resource: Resource) -> Iterator[Resource]:
    """Return the resources inside a Bundle, or the resource itself."""
    waiting = [resource]
    while waiting:
        one = waiting.pop()
        content = one.content
        if content is None or content.get("resourceType") != "Bundle":
            yield one
            continue
        entries = content.get("entry")
        found = [_entry(entry) for entry in entries] if isinstance(entries, list) else []
        references = {**one.references, **_references(found)}
        # The last goes first: a stack keeps the order of the file.
        waiting.extend(
            Resource(entry.content, entry.full_url, references) for entry in reversed(found)
        )


def _entry(entry: Any) -> Resource:
    if not isinstance(entry, dict):
        return Resource(None)
    content, full_url = entry.get("resource"), entry.get("fullUrl")
    return Resource(
        content if isinstance(content, dict) else None,
        full_url if isinstance(full_url, str) and full_url.isascii() else None,
    )


def _references(entries: list[Resource]) -> dict[str, str]:
    found = {}
    for entry in entries:
        if entry.content is None or entry.full_url is None:
            continue
        kind, own = entry.content.get("resourceType"), entry.content.get("id")
        if isinstance(kind, str):
            # A Patient without an id is known by its address alone.
            address = entry.full_url.rpartition(":")[2].rpartition("/")[2]
            found[entry.full_url] = f"{kind}/{own if isinstance(own, str) and own else address}"
    return found
