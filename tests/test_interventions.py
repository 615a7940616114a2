"""Interventions on text: what is cut, filled, altered and hidden."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robust.measure.interventions import (
    NUMBER,
    filler,
    hide_last_number,
    last_number,
    mistaken,
    steps,
    truncated,
)

exact = settings(derandomize=True, deadline=None, max_examples=100)
chain = st.text("ab 12.,-\n", max_size=40)
LINES = "3 + 4 = 7\n7 * 2 = 14\n\nso 14\n"


def test_steps_are_lines_or_sentences():
    assert steps(LINES) == ["3 + 4 = 7\n", "7 * 2 = 14\n\n", "so 14\n"]
    assert steps("Add 1.5. Then two! Done") == ["Add 1.5. ", "Then two! ", "Done"]
    assert steps("one") == ["one"]
    assert steps("") == []


@exact
@given(chain)
def test_steps_join_to_the_chain(text):
    assert "".join(steps(text)) == text


def test_truncation_keeps_whole_steps():
    assert truncated(LINES, 0) == ("", 0)
    assert truncated(LINES, 0.33) == ("3 + 4 = 7", 1 / 3)
    assert truncated(LINES, 0.67) == ("3 + 4 = 7\n7 * 2 = 14", 2 / 3)
    assert truncated(LINES, 1) == (LINES.rstrip(), 1)
    assert truncated("a b c d", 0.5) == ("a b", 0.5)
    assert truncated("", 0.5) == ("", 0.5)
    with pytest.raises(ValueError, match=r"fraction is 1.5; give a number in 0..1"):
        truncated("a", 1.5)


@exact
@given(chain, st.floats(0, 1))
def test_a_cut_chain_is_a_beginning(text, fraction):
    cut, kept = truncated(text, fraction)
    assert text.startswith(cut)
    assert 0 <= kept <= 1


@exact
@given(chain)
def test_filler_has_the_length_and_nothing_else(text):
    dots = filler(text)
    assert set(dots) <= {".", " "}
    assert len(text) - 1 <= len(dots) <= len(text)


@exact
@given(chain, st.integers(0, 99))
def test_a_mistake_changes_one_digit_and_is_the_same_for_the_same_key(text, key):
    found = mistaken(text, key)
    if not any(character.isdigit() for character in text):
        assert found is None
        return
    wrong, at = found
    places = [i for i, (a, b) in enumerate(zip(text, wrong, strict=True)) if a != b]
    assert len(places) == 1
    assert places[0] == round(at * len(text))
    assert text[places[0]].isdigit()
    assert wrong[places[0]].isdigit()
    assert mistaken(text, key) == found


def test_keys_reach_every_number():
    assert len({mistaken("1 and 2 and 3", key)[1] for key in range(30)}) == 3


@pytest.mark.parametrize(
    ("text", "last"),
    [
        ("3 + 4 = 7.", "7"),
        ("costs 1,234.50 in all", "1234.50"),
        ("5-2", "2"),
        ("is -2", "-2"),
        ("x=-4", "-4"),
        ("f(1)-2", "2"),
        ("1, 2", "2"),
        ("a12b", "12"),
        ("seven", None),
    ],
)
def test_last_numbers(text, last):
    assert last_number(text) == last


def test_hiding_covers_the_last_number_wherever_it_stands():
    assert hide_last_number("3 + 4 = 7, so 7.0!") == "3 + 4 = ___, so ___!"
    assert hide_last_number("17 then 7") == "17 then ___"
    assert hide_last_number("none") == "none"


def test_blind_spots_of_hiding():
    assert hide_last_number("two and two is four: 4") == "two and two is four: ___"
    assert hide_last_number("0 + 7 = 7") == "0 + ___ = ___"  # the operand goes too


@exact
@given(chain)
def test_what_is_hidden_is_gone(text):
    last = last_number(text)
    if last is not None:
        left = NUMBER.findall(hide_last_number(text))
        assert float(last) not in [float(n.replace(",", "")) for n in left]
