"""How well texts compress, alone and given others: drift of wording without a model.

A compressor sees repetition and nothing else. It says nothing about truth or meaning:
shuffled steps, wrong sums and a cipher that maps letter to letter compress as well as
what they were made from.
"""

import lzma
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

WINDOW = 2**15 - 262  # bytes that deflate looks back when given a dictionary
_DISTANCE = 2**26  # bytes that LZMA looks back


def ratio(texts: Sequence[str]) -> float:
    """Compressed over plain size of all texts as one.

    Low where they repeat themselves and each other. Blind spots: more text compresses
    better by itself, so compare equal amounts; nothing about truth. nan for no text.

    Reference: LZMA2 of Python's lzma, preset 9, without headers.
    """
    data = _joined(texts)
    return _size(data) / len(data) if data else np.nan


def distance(texts: Sequence[str], first: Sequence[str]) -> float:
    """Normalised compression distance: about 0 for the same texts, 1 for unrelated.

    (C(xy) - min(C(x), C(y))) / max(C(x), C(y)), C the size under LZMA. Blind spots:
    amounts of text that differ look like distance; topic and style count as much as
    code; real compressors reach neither 0 nor, always, 1. nan where a side is empty.

    Reference: Cilibrasi & Vitányi 2005, IEEE Transactions on Information Theory
    51:1523.
    """
    x, y = _joined(texts), _joined(first)
    if not x or not y:
        return np.nan
    sizes = _size(x), _size(y)
    return (_size(x + b"\n" + y) - min(sizes)) / max(sizes)


def bits_per_character(texts: Sequence[str], given: Sequence[str] = ()) -> np.ndarray:
    """Bits that each text takes per character once the given texts are known, `[N]`.

    Each text alone, by deflate with the given texts as its dictionary, so that values
    are per text and intervals can be over questions. Rises where wording leaves that
    of the given texts, and as texts become short: some bits are spent on any text,
    so compare with texts of like length, or read `drift` beside the length. Only the
    first 32 KB of the given texts are used, and strings of three bytes or more that
    they share. nan for an empty text.

    Reference: Benedetto, Caglioti & Loreto 2002, Physical Review Letters 88:048702;
    deflate: RFC 1951, section 2; zlib's preset dictionary.
    """
    known = dictionary(given)
    nothing = _deflated(b"", known)
    bits = [8 * (_deflated(_bytes(text), known) - nothing) for text in texts]
    return np.array(
        [b / len(text) if text else np.nan for b, text in zip(bits, texts, strict=True)]
    )


def dictionary(given: Sequence[str]) -> bytes:
    """Join whole texts, from the first, as far as deflate can look back."""
    parts, room = [], WINDOW
    for text in given:
        data = _bytes(text)
        if len(data) > room:
            break
        parts.append(data)
        room -= len(data) + 1
    if not parts and len(given):
        return _bytes(given[0])[:WINDOW]
    return b"\n".join(parts)


def _deflated(data: bytes, known: bytes) -> int:
    more: dict[str, Any] = {"zdict": known} if known else {}
    packer = zlib.compressobj(9, zlib.DEFLATED, -15, 9, **more)
    return len(packer.compress(data) + packer.flush())


def _joined(texts: Sequence[str]) -> bytes:
    return _bytes("\n".join(texts))


def _bytes(text: str) -> bytes:
    return text.encode(errors="replace")  # a lone surrogate is no reason to stop


def _size(data: bytes) -> int:
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 9, "dict_size": _DISTANCE}]
    return len(lzma.compress(data, lzma.FORMAT_RAW, filters=filters))
