"""A posted form, streamed to disk: the request of a job, its input, and a table of query times.

Nothing is held in memory but a buffer and the small request, and no name of the client's is used.
"""

import asyncio
import errno
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, final

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from model.files import sha256_of_hashes
from service.errors import TooLargeError
from service.jobs.errors import StorageFullError, UploadError, UploadTypeError
from service.wire import check_encoding

_BUFFER_BYTES = 1 << 20
_MAX_REQUEST_BYTES = 256 * 1024
_FULL = {errno.ENOSPC, errno.EDQUOT}
FILES = ("input", "times")
"""The parts that become files of the same name; `request` is kept in memory."""
_GZIP, _GZIP_ENDING = b"\x1f\x8b", ".gz"


async def receive(request: Request, folder: Path, *, max_bytes: int) -> "Upload":
    """Stream the parts of a form into a folder.

    Raises
    ------
    UploadTypeError, UploadError
        If the body is not such a form.
    ContentEncodingError
        If it is compressed as a whole; its files may be.
    TooLargeError
        If it is larger than `max_bytes`.
    StorageFullError
        If the disk is full.
    """
    check_encoding(request)
    kind, options = parse_options_header(request.headers.get("content-type"))
    boundary = options.get(b"boundary")
    if kind != b"multipart/form-data" or not boundary:
        raise UploadTypeError(
            "expected multipart/form-data with the parts `request` (JSON) and `input` (a file)"
        )
    refusal = TooLargeError(
        f"an upload may have at most {max_bytes} bytes", code="upload_too_large"
    )
    announced = request.headers.get("content-length", "0")
    if announced.isdecimal() and int(announced) > max_bytes:
        raise refusal
    upload = Upload(folder)
    try:
        feed = upload.parser(boundary)
        buffer, size = bytearray(), 0
        async for chunk in request.stream():
            size += len(chunk)
            if size > max_bytes:
                raise refusal
            buffer += chunk
            if len(buffer) >= _BUFFER_BYTES:
                await _on_disk(feed, bytes(buffer))
                buffer.clear()
        await _on_disk(feed, bytes(buffer))
    finally:
        upload.close()
    upload.check()
    await asyncio.to_thread(upload.name_compressed)
    return upload


async def _on_disk(feed: Callable[[bytes], object], data: bytes) -> None:
    try:
        await asyncio.to_thread(feed, data)
    except FormParserError:
        raise UploadError("expected multipart/form-data as RFC 7578 has it") from None
    except OSError as error:
        if error.errno in _FULL:
            raise StorageFullError("the disk of the jobs is full; ask again later") from None
        raise


@final
class Upload:
    """The parts of a form, as they come in."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._digests: dict[str, Any] = {}
        self._files: dict[str, str] = {}
        self._header, self._value = bytearray(), bytearray()
        self._disposition = b""
        self._file: BinaryIO | None = None
        self._has_ended = False
        self.request = bytearray()
        self.names: list[str] = []

    @property
    def sha256(self) -> str:
        """The hash of the files, as a plan has it of its input."""
        hashes = [self._digests[name].hexdigest() for name in FILES if name in self._digests]
        return sha256_of_hashes((".", file) for file in hashes)

    def parser(self, boundary: bytes) -> Callable[[bytes], object]:
        """Return what is to be called with the bytes of the body."""
        parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": lambda data, start, end: self._header.extend(data[start:end]),
                "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
                "on_header_end": self._end_header,
                "on_headers_finished": self._open,
                "on_part_data": self._write,
                "on_part_end": self.close,
                "on_end": self._end,
            },
        )
        return parser.write

    def close(self) -> None:
        """Close the file of the part that came last."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def check(self) -> None:
        """Raise `UploadError` unless the form came whole, with a request and an input."""
        if not self._has_ended:
            raise UploadError("the form ends before its last boundary")
        missing = {"request", "input"} - set(self.names)
        if missing:
            raise UploadError(f"expected a part of the form named `{min(missing)}`")

    def name_compressed(self) -> None:
        """Let the names of gzipped files say so: the readers go by them, and the client's are not kept."""
        for name in self._digests:
            file = self._folder / name
            with file.open("rb") as opened:
                is_compressed = opened.read(len(_GZIP)) == _GZIP
            if is_compressed:
                self._files[name] = file.rename(file.with_name(name + _GZIP_ENDING)).name

    def file(self, name: str) -> str | None:
        """Return the name of the file that a part became, None where there was no such part."""
        return self._files.get(name, name) if name in self.names else None

    def _begin(self) -> None:
        self._disposition = b""

    def _end_header(self) -> None:
        if bytes(self._header).lower() == b"content-disposition":
            self._disposition = bytes(self._value)
        self._header.clear()
        self._value.clear()

    def _open(self) -> None:
        _, options = parse_options_header(self._disposition)
        name = options.get(b"name", b"").decode("ascii", "replace")
        if name not in ("request", *FILES) or name in self.names:
            raise UploadError(
                "expected the parts `request`, `input` and `times`, each at most once"
            )
        self.names.append(name)
        if name in FILES:
            self._digests[name] = hashlib.sha256()
            self._file = (self._folder / name).open("xb")

    def _write(self, data: bytes, start: int, end: int) -> None:
        piece = memoryview(data)[start:end]
        if self._file is not None:
            self._file.write(piece)
            self._digests[self.names[-1]].update(piece)
        elif len(self.request) + len(piece) > _MAX_REQUEST_BYTES:
            raise TooLargeError(
                f"the part `request` may have at most {_MAX_REQUEST_BYTES} bytes",
                code="body_too_large",
            )
        else:
            self.request += piece

    def _end(self) -> None:
        self._has_ended = True
