"""Text of any encoding as UTF-8, block by block."""

import codecs
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from model.records.sources.files import open_bytes

BLOCK_BYTES: Final = 2**18

UTF_8: Final = "UTF-8"
UTF_16_LE: Final = "UTF-16-LE"
UTF_16_BE: Final = "UTF-16-BE"
WINDOWS: Final = "Windows-1252"

_BOMS: Final = (
    (codecs.BOM_UTF8, UTF_8),
    (codecs.BOM_UTF16_LE, UTF_16_LE),
    (codecs.BOM_UTF16_BE, UTF_16_BE),
)
# The share of zero bytes at every second place by which UTF-16 without a mark is told.
_ZERO_SHARE: Final = 0.4
_ESCAPED: Final = re.compile("[\udc80-\udcff]")
# Bytes that are no UTF-8 come out of the decoder as these; Windows-1252 leaves five of them open,
# which are read as Latin-1.
_AS_WINDOWS: Final = {
    0xDC00 + byte: bytes([byte]).decode("cp1252", errors="ignore") or chr(byte)
    for byte in range(0x80, 0x100)
}


def encoding_of(sample: bytes) -> str:
    """Return the encoding that the first bytes of a file show.

    Examples
    --------
    >>> encoding_of("µmol/l;5,2".encode("utf-16")), encoding_of("µmol/l;5,2".encode("cp1252"))
    ('UTF-16-LE', 'Windows-1252')
    """
    for mark, encoding in _BOMS:
        if sample.startswith(mark):
            return encoding
    pairs = len(sample) // 2
    if pairs:
        zeros = [sample[side::2].count(0) / pairs for side in (0, 1)]
        for side, encoding in ((1, UTF_16_LE), (0, UTF_16_BE)):
            if zeros[side] >= _ZERO_SHARE and zeros[1 - side] < _ZERO_SHARE / 4:
                return encoding
    try:
        # A character may be cut at the end of the sample.
        codecs.getincrementaldecoder("utf-8")().decode(sample)
    except UnicodeDecodeError:
        return WINDOWS
    return UTF_8


def text_blocks(file: Path, encoding: str) -> Iterator[str]:
    """Decode a file block by block, without its byte order mark.

    Bytes that are no UTF-8, in a file that began as UTF-8, are read as Windows-1252: no row is lost
    for a letter of its note.
    """
    is_bytes = encoding in (UTF_8, WINDOWS)
    name, errors = ("utf-8", "surrogateescape") if is_bytes else (encoding, "replace")
    decoder = codecs.getincrementaldecoder(name)(errors)
    is_start = True
    with open_bytes(file) as opened:
        while True:
            block = opened.read(BLOCK_BYTES)
            text = decoder.decode(block, final=not block)
            if is_bytes and not text.isascii() and _ESCAPED.search(text):
                text = text.translate(_AS_WINDOWS)
            if not is_bytes:
                # Half of a surrogate pair is no character.
                text = text.encode("utf-8", errors="replace").decode()
            if is_start and text:
                text, is_start = text.removeprefix("\ufeff"), False
            if text:
                yield text
            if not block:
                return


class Utf8Stream(io.RawIOBase):
    """A file as UTF-8 bytes, from the end of its header on; what Arrow reads from."""

    def __init__(self, file: Path, encoding: str, *, skip: int = 0) -> None:
        """Parameters: `skip` characters are left out at the start."""
        super().__init__()
        self._blocks = text_blocks(file, encoding)
        self._skip = skip
        self._rest = b""

    def readable(self) -> bool:
        """Return True: it is for reading only."""
        return True

    def readinto(self, target: object) -> int:
        """Fill the target as far as one block goes; 0 at the end."""
        while not self._rest:
            text = next(self._blocks, None)
            if text is None:
                return 0
            skipped = min(self._skip, len(text))
            self._skip -= skipped
            self._rest = text[skipped:].encode("utf-8")
        view = memoryview(target)  # type: ignore[arg-type]
        size = min(len(view), len(self._rest))
        view[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size

    def whole(self, max_bytes: int) -> bytes | None:
        """Return all of it if it is no larger than that; otherwise it stays to be read."""
        found = bytearray()
        while len(found) <= max_bytes:
            block = self.read(max_bytes + 1 - len(found))
            if not block:
                return bytes(found)
            found += block
        self._rest = bytes(found) + self._rest
        return None

    def close(self) -> None:
        """Close the file behind it."""
        self._blocks.close()  # type: ignore[attr-defined]
        super().close()
