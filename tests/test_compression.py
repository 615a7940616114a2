"""Compression measures: bounds, known cases, what they cannot see."""

import lzma
import zlib

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from robust.measure.compression import (
    WINDOW,
    bits_per_character,
    dictionary,
    distance,
    ratio,
)

exact = settings(derandomize=True, deadline=None, max_examples=40)


def chains(number, seed=0, say="so {a} plus {b} makes {c}"):
    rng = np.random.default_rng(seed)
    pairs = rng.integers(100, 999, (number, 2))
    return [say.format(a=a, b=b, c=a + b) for a, b in pairs]


def test_random_bytes_do_not_compress_and_repetition_does():
    """Uniform over 16 letters is 4 of 8 bits: a ratio of 1/2, less than 6 % more."""
    rng = np.random.default_rng(0)
    letters = ["".join(rng.choice([*"abcdefghijklmnop"], 20_000))]
    assert 0.5 < ratio(letters) < 0.53
    assert ratio(["ab" * 10_000]) < 0.01
    assert np.isnan(ratio([""]))


def test_distance_of_the_same_and_of_the_unrelated():
    rng = np.random.default_rng(0)
    one, other = ("".join(rng.choice([*"abcdefgh"], 5000)) for _ in range(2))
    assert distance([one], [one]) < 0.05
    assert 0.85 < distance([one], [other]) < 1.05  # they share an alphabet
    mixed = distance([one], [one[:2500] + other[2500:]])
    assert 0.4 < mixed < 0.6
    assert np.isnan(distance([], [one]))


def test_distance_is_its_formula():
    def size(text):
        filters = [{"id": lzma.FILTER_LZMA2, "preset": 9, "dict_size": 2**26}]
        return len(lzma.compress(text.encode(), lzma.FORMAT_RAW, filters=filters))

    x, y = chains(20), chains(30, seed=1)
    joined = size("\n".join(x + y))
    cx, cy = size("\n".join(x)), size("\n".join(y))
    assert distance(x, y) == (joined - min(cx, cy)) / max(cx, cy)


def test_a_text_that_is_in_the_dictionary_takes_a_reference():
    """One match of up to 258 bytes costs at most some 5 bytes; alone it costs most."""
    text = "the quick brown fox jumps over the lazy dog, twice, as ever"
    alone, given = bits_per_character([text])[0], bits_per_character([text], [text])[0]
    assert given < 40 / len(text)
    assert alone > 5
    np.testing.assert_array_equal(bits_per_character([""], [text]), [np.nan])


def test_bits_are_those_of_deflate():
    text, known = chains(1)[0], chains(30, seed=1)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zdict=dictionary(known))
    size = len(packer.compress(text.encode()) + packer.flush()) - 2  # of an empty one
    assert bits_per_character([text], known)[0] == 8 * size / len(text)


def test_new_wording_takes_more_bits_and_old_wording_does_not():
    old = chains(100)
    same = bits_per_character(chains(50, seed=1), old).mean()
    new = bits_per_character(chains(50, seed=1, say="{a}&{b}>>{c}!"), old).mean()
    assert new > 1.5 * same


@exact
@given(st.lists(st.text(max_size=30), max_size=5))
def test_any_text_is_measured(some):
    """Surrogates and empty texts included."""
    bits = bits_per_character(some, some[:2])
    assert (np.isnan(bits) == [not text for text in some]).all()
    assert not (bits < 0).any()


def test_a_lone_surrogate_is_measured():
    assert np.isfinite(bits_per_character(["a\ud800b"], ["\ud800"])).all()
    assert np.isfinite(ratio(["a\ud800b"]))


def test_the_dictionary_holds_whole_texts_up_to_the_window():
    assert dictionary(["ab", "c"]) == b"ab\nc"
    assert dictionary([]) == b""
    long = ["x" * 20_000, "y" * 20_000]
    assert dictionary(long) == b"x" * 20_000
    assert len(dictionary(["x" * 99_999])) == WINDOW


def test_blind_spot_wrong_sums_compress_as_well_as_right_ones():
    right = chains(200)
    shifted = [
        text[:-3] + other[-3:]
        for text, other in zip(right, right[1:] + right[:1], strict=True)
    ]
    assert shifted != right
    assert abs(ratio(shifted) - ratio(right)) < 0.03
    old = chains(100, seed=1)
    difference = bits_per_character(shifted, old) - bits_per_character(right, old)
    assert abs(difference.mean()) < 0.05


def test_blind_spot_a_cipher_compresses_as_the_plain_text():
    plain = chains(200)
    cipher = [text.translate(str.maketrans("somakeplu", "lzrqbvxcj")) for text in plain]
    assert abs(ratio(cipher) - ratio(plain)) < 0.01
