"""From the bytes of a body to a validated request, and from an answer to bytes. No medicine here.

A body is parsed once, with what Python's parser lets through by default refused: NaN and Infinity,
and an object that has a key twice. What the schema refuses is reported by path and expectation
alone.
"""

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any, TypeVar

from fastapi import Request
from fastapi.responses import Response
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from starlette.requests import ClientDisconnect

from service.errors import (
    BodyTimedOutError,
    ClientGoneError,
    ContentEncodingError,
    InvalidRequestError,
    MalformedBodyError,
    MediaTypeError,
    ProblemFault,
    TooLargeError,
)
from service.serialization import to_bytes

_MAX_FAULTS = 20

INLINE_BYTES = 32 * 1024
"""Below this, reading a body takes about as long as handing it to another thread and back."""
INLINE_NUMBERS = 2_000
"""The same for writing an answer; each number of it is some five numbers on the wire."""

_EXPECTATIONS = {
    "extra_forbidden": "there is a field that is not documented here",
    "missing": "expected this field, which is required",
    **dict.fromkeys(
        ("model_type", "model_attributes_type", "dict_type", "dataclass_type"), "expected an object"
    ),
    **dict.fromkeys(("list_type", "tuple_type"), "expected a list"),
}
_WORDS = {
    "Input should be": "expected",
    "Value error, ": "",
    "Tuple should have": "expected a list of",
    "List should have": "expected a list of",
    " after validation": "",
    "dictionary": "object",
}

Body = TypeVar("Body", bound=BaseModel)
Result = TypeVar("Result")


async def read_body(request: Request, *, max_bytes: int, timeout_seconds: float) -> bytes:
    """Read a JSON body of at most `max_bytes`, without reading more than that of a larger one.

    Raises
    ------
    MediaTypeError
        If the content type is given and is not JSON.
    ContentEncodingError
        If it is compressed.
    TooLargeError
        If the body is larger, whether the client announced its length or not.
    BodyTimedOutError
        If it has not ended within `timeout_seconds`.
    ClientGoneError
        If the client closes its connection before the end.
    """
    check_encoding(request)
    media_type = request.headers.get("content-type", "application/json").partition(";")[0].strip()
    if not (media_type == "application/json" or media_type.endswith("+json")):
        raise MediaTypeError("expected the content type application/json")
    refusal = TooLargeError(f"the body may have at most {max_bytes} bytes")
    announced = request.headers.get("content-length", "0")
    if announced.isdecimal() and int(announced) > max_bytes:
        raise refusal
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(timeout_seconds):
            async for chunk in request.stream():
                size += len(chunk)
                if size > max_bytes:
                    raise refusal
                chunks.append(chunk)
    except TimeoutError:
        raise BodyTimedOutError(
            f"the body did not end within {timeout_seconds:g} seconds; send it faster, or less of it"
        ) from None
    except ClientDisconnect:
        raise ClientGoneError("the connection was closed before the end of the body") from None
    return b"".join(chunks)


def check_encoding(request: Request) -> None:
    """Raise `ContentEncodingError` where a body is compressed, as nobody here would unpack it.

    >>> check_encoding(Request({"type": "http", "headers": [(b"content-encoding", b"identity")]}))
    """
    encodings = request.headers.get("content-encoding", "").lower().split(",")
    if any(one.strip() not in ("", "identity") for one in encodings):
        raise ContentEncodingError


async def until_gone(request: Request, answer: Coroutine[None, None, Result]) -> Result:
    """Wait for an answer as long as the client does. The body must have been read.

    Raises
    ------
    ClientGoneError
        If the client closes its connection first; the answer is given up.
    """
    answering = asyncio.ensure_future(answer)
    # After the body the only message left is that the connection is closed.
    leaving = asyncio.ensure_future(request.receive())
    try:
        await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not answering.done():
            raise ClientGoneError("the connection was closed before the answer")
        return answering.result()
    finally:
        leaving.cancel()
        answering.cancel()


async def off_loop(work: Callable[[], Result], *, is_big: bool) -> Result:
    """Keep long work away from the event loop; for short work the way there costs more."""
    return await asyncio.to_thread(work) if is_big else work()


def parse_body(
    raw: bytes, schema: type[Body], *, field_names: frozenset[str], reads_nan: bool = False
) -> Body:
    """Parse and validate.

    >>> class Point(BaseModel):
    ...     x: int
    >>> parse_body(b'{"x": 3}', Point, field_names=frozenset({"x"}))
    Point(x=3)

    Parameters
    ----------
    field_names
        All field names of the schema: the only words that a path may show, as any other would
        be the client's.
    reads_nan
        Whether the bare word NaN stands for null instead of being refused.

    Raises
    ------
    MalformedBodyError
        If the bytes are not JSON, or JSON that has no single meaning.
    InvalidRequestError
        If the JSON does not fit the schema.
    """
    document = _parse_json(raw, _nan_as_null if reads_nan else _refuse_constant)
    try:
        return schema.model_validate(document)
    except ValidationError as error:
        faults = faults_of(error, field_names)
        raise InvalidRequestError(
            f"the body does not have the documented form: {faults[0].detail}",
            path=faults[0].path,
            errors=faults,
        ) from None


def json_response(content: object, headers: Mapping[str, str] | None = None) -> Response:
    """Return an answer with a JSON body."""
    return Response(to_bytes(content), media_type="application/json", headers=headers)


def _parse_json(raw: bytes, parse_constant: Callable[[str], None]) -> object:
    try:
        return json.loads(raw, object_pairs_hook=_object, parse_constant=parse_constant)
    except RecursionError:
        raise MalformedBodyError("the body is nested too deeply") from None
    except (ValueError, UnicodeError):  # UnicodeError is a ValueError; named for the reader
        raise MalformedBodyError("expected one JSON object in UTF-8") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise MalformedBodyError("an object has the same key twice", code="duplicate_key")
    return content


def _nan_as_null(token: str) -> None:
    if token != "NaN":
        _refuse_constant(token)


def _refuse_constant(_token: str) -> None:
    raise MalformedBodyError("NaN and Infinity are not JSON numbers", code="not_finite")


def faults_of(error: ValidationError, field_names: frozenset[str]) -> list[ProblemFault]:
    """Say where input does not fit, and what was expected; of a union, at its deepest place."""
    details = error.errors(include_url=False, include_context=False, include_input=False)
    expectations: dict[str, list[str]] = {}
    codes: dict[str, str] = {}
    for item in details:
        path = _path(item["loc"], field_names)
        expectations.setdefault(path, []).append(expectation(item))
        codes.setdefault(path, item["type"])
    deepest = [path for path in expectations if not _has_deeper(path, expectations)]
    return [
        ProblemFault(path, codes[path], ", or: ".join(dict.fromkeys(expectations[path])))
        for path in deepest[:_MAX_FAULTS]
    ]


def _has_deeper(path: str, others: Iterable[str]) -> bool:
    return any(other.startswith((f"{path}.", f"{path}[")) for other in others)


def _path(location: tuple[int | str, ...], field_names: frozenset[str]) -> str:
    path = ""
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part in field_names:
            path += f".{part}" if path else part
    return path


def expectation(item: ErrorDetails) -> str:
    """Say what was expected: in the words of JSON, without names of our classes or what was posted.

    >>> expectation({"type": "model_type", "loc": (), "msg": "... instance of Grid", "input": 3})
    'expected an object'
    """
    kind, message = item["type"], item["msg"]
    if kind == "union_tag_invalid":  # the message repeats the tag that was posted
        return f"expected one of {message.rpartition('expected tags: ')[2]}"
    if kind == "union_tag_not_found":
        return f"expected an object with the field {message.rpartition(' ')[2]}"
    if kind in _EXPECTATIONS:
        return _EXPECTATIONS[kind]
    for ours, theirs in _WORDS.items():
        message = message.replace(ours, theirs)
    return message
