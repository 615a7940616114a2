"""Text files as users have them: packed or not, and not always text."""

import codecs
import gzip
from pathlib import Path

HEAD = 8192  # bytes looked at to tell text from binary
_GZIP = b"\x1f\x8b"


def open_packed(path: Path):
    """Open a file for reading bytes, unpacked where it is gzip."""
    with path.open("rb") as file:
        packed = file.read(len(_GZIP)) == _GZIP
    return gzip.open(path) if packed else path.open("rb")


def decode_head(path: Path, head: bytes, wanted: str) -> str:
    """Read the first bytes of a file as text.

    Raises:
      ValueError: they are binary or not UTF-8, in one line.
    """
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise ValueError(
            f"{path} is a binary file or not UTF-8; wanted {wanted}: name another "
            "file or convert it"
        )
    return text
