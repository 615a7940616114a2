"""Equations in chains: found, judged exactly, linked; and what is not seen."""

import itertools
import operator
from fractions import Fraction

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from robust.measure.arithmetic import steps, validity

exact = settings(derandomize=True, deadline=None, max_examples=60)
OPERATIONS = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv
}  # fmt: skip


def judged(text, modulus=None):
    return [step.true for step in steps(text, modulus)]


@pytest.mark.parametrize("sign", OPERATIONS)
def test_small_numbers_enumerated(sign):
    for a, b, c in itertools.product(range(5), range(5), range(-4, 17)):
        true = not (sign == "/" and b == 0) and OPERATIONS[sign](Fraction(a), b) == c
        assert judged(f"{a} {sign} {b} = {c}") == [true]


@pytest.mark.parametrize(
    "text",
    [
        "2+3*4=14", "(2+3)*4=20", "20-3-4=13", "24/4/2=3", "24/4*2=12", "2^3^2=512",
        "-2^2=-4", "(-2)^2=4", "2^-1=0.5", "3 - -4 = 7", "2(3+4)=14", "(2)(3)=6",
        "7 = 3 + 4", "2**3 = 8", "2 ** 3 = 8", "1,200 + 34 = 1,234", ".5 + .5 = 1",
        "1 1/2 + 2 = 3 1/2", "2½+2½=5", "3×4=12", "3 x 4 = 12", "2·3=6", "6÷2=3",
        "3 − 4 = −1", r"3 \times 4 = 12", r"6 \div 2 = 3", r"2 \cdot 3 = \boxed{6}",
        r"\frac{1}{2} + \frac{1}{4} = \frac{3}{4}", r"2\frac{1}{2} + 1 = 3.5",
        r"\left(2+3\right)*4=20", "$5 + $3 = $8", "-$5 + $3 = -$2", "$3+4=7$",
        "3 apples + 4 apples = 7 apples", "5 cm² + 3 cm² = 8 cm²", "**3 + 4 = 7**",
        "3 + 4 = **7** apples", "60 miles/hour * 2 hours = 120 miles", "3个+4个=7个",
        "50% + 20% = 70%", "50% * 20 = 10", "20/80 * 100 = 25%", "1/4 = 25%",
        "- 3 + 4 = 7", "1. 3 + 4 = 7", "a total of 3 + 4 = 7 apples", "(so 3 + 4 = 7)",
        "3 + 4 = 7 - so he has some", "3 + 4 == 7", "3 + 4\n= 7", "8 * 5 = $40 a week",
        "3 bags of apples + 4 bags of apples = 7 bags", "He has 2, and 3 + 4 = 7.",
        "He earns 5*2=<<5*2=10>>10 dollars", "twenty * 2 = <<20*2=40>>40",
    ],
)  # fmt: skip
def test_notations(text):
    assert judged(text) == [True]


@pytest.mark.parametrize(
    ("result", "true"),
    [
        ("0.33", True), ("0.333333", True), (".3", True), ("0.34", False),
        ("33%", True), ("33.3%", True), ("34%", False), ("0", False), ("1/3", True),
        ("2/6", True), ("0.0", False),
    ],
)  # fmt: skip
def test_a_third_as_it_may_be_rounded(result, true):
    assert judged(f"1/3 = {result}") == [true]


def test_halves_may_go_either_way_and_whole_numbers_are_exact():
    assert judged("1/8 = 0.12; 1/8 = 0.13; 1/8 = 0.125") == [True] * 3
    assert judged("1/8 = 0.11; 1/8 = 0.14; 7/2 = 4; 7/2 = 3") == [False] * 4


def test_an_equality_that_goes_on():
    assert judged("2*3+4 = 6+4 = 10") == [True, True]
    assert judged("2*3+4 = 6+5 = 11") == [False, True]
    assert judged("3+4=7=7") == [True]  # said again
    assert judged("3+4=7=8") == [True, False]
    assert judged(r"\begin{align}3+4+5&=7+5\\&=12\end{align}") == [True, True]
    assert judged("3+4=7 and 7*2=14") == [True, True]
    assert judged("3+4=7 5+4=9") == [True, True]


@pytest.mark.parametrize(
    "text",
    [
        "", "=", "===", "= = =", "3+4=", "=7", "3 + 4 = ?", "3+4=>7", "3+4 >= 7",
        "3 + = 7", "5 + (3 = 8", "3+4)=(7", "x + 3 = 7", "2x + 3 = 7", "x -3 + 4 = 7",
        "x_1 + 3 = 7", "total + 3 + 4 = 9", "3 + 4 = 7x", "3 + 4 = 7 - x", "π + 1 = 4",
        "f(2) + 1 = 5", "sqrt(16) + 3 = 7", r"\sqrt{16} + 3 = 7", "5! + 3 + 4 = 127",
        "half of 20 + 4 = 14", "20% of 50 + 3 = 13", "3 times 4 + 2 = 14", "7 = 7",
        "12 divided by 4 + 1 = 4", "2 million + 1 = 3 million", "3+9 = 2 (mod 10)",
        "10/3 ≈ 3", "9^0.5 = 3", "9^9^9^9 = 1", "1e3 + 1 = 1001", "x = 14",
        f"{'9' * 31} + 1 = 2", f"{'1+' * 300}1 = 301", f"{'(' * 60}1+1{')' * 60} = 2",
        "__import__('os') = 3", "\\frac{3}{ + 4 = 7",
    ],
)  # fmt: skip
def test_what_is_malformed_or_not_arithmetic_is_left_out(text):
    assert steps(text) == []


@exact
@given(st.text("3450.,+-*/^()={}<>x%$ \\\n", max_size=60))
def test_any_text_is_read(text):
    for step in steps(text):
        assert isinstance(step.true, bool)


def test_long_texts_do_not_hang_or_mislead():
    """What is too long to be read is no step, the end of it neither."""
    for text in ("(" * 3000, "1+" * 3000, "-" * 3000, "9^" * 1000):
        assert steps(f"{text}1=1") == []
    assert judged("1+1=" * 500 + "2") == [True] * 500


def test_toy_chains():
    """The notation of the reasoning experiment."""
    found = validity(["3+2=5;5+4=9;9+4=3;", "3+2=5;5+4=9;9+4=3;#3$", "H=8;"], 10)
    np.testing.assert_array_equal(found.count, [3, 3, 0])
    np.testing.assert_array_equal(found.valid, [1, 1, np.nan])
    np.testing.assert_array_equal(found.linked, [1, 1, np.nan])
    assert judged("3+2=5;5+4=9;9+4=3;") == [True, True, False]
    assert judged("9+4=13", 10) == judged("9+4=-7", 10) == [True]
    assert judged("7/2=3.5; 7/2=13.5; 7/2=4", 10) == [True, True, False]
    with pytest.raises(ValueError, match="modulus is 1; give a whole number above one"):
        steps("1+1=2", 1)


def test_a_step_by_hand():
    (step,) = steps("so $12 - 1/4 * 8 = $10 left")
    assert step.text == "12 - 1/4 * 8 = 10"
    assert step.used == (12, 1, 4, 8, Fraction(1, 4))
    assert (step.result, step.true) == (10, True)
    (step,) = steps("3 / 0 = 3/0")
    assert (step.result, step.true) == (None, False)


@pytest.mark.parametrize(
    ("chain", "linked"),
    [
        ("3+4=7", np.nan), ("3+4=7; 7+1=8", 1), ("3+4=7; 2+1=3", 0),
        ("3+4=7; 2+1=3; 3+7=10", 0.5), ("3+4=8; 8+1=9", 1), ("2*3+4 = 6+4 = 10", 1),
        ("3-7=-4; -4+10=6", 1), ("1-1/4=3/4; 3/4*8=6", 1), ("1/4=25%; 0.25*8=2", 1),
        ("7 = 3+4; 8 = 7+1", 1), ("7 = 3+4; 8 = 6+2", 0),
    ],
)  # fmt: skip
def test_links(chain, linked):
    np.testing.assert_array_equal(validity([chain]).linked, [linked])


def test_no_chains():
    assert [len(column) for column in validity([])] == [0, 0, 0]


def _joined(parts):
    (one, a), sign, (other, b) = parts
    if sign == "/" and b == 0:
        other, b = "1", Fraction(1)
    return f"({one}) {sign} ({other})", OPERATIONS[sign](a, b)


numbers = st.integers(-999, 9999).map(lambda n: (f"{n:,}", Fraction(n))) | st.decimals(
    0, 99, places=2
).map(lambda d: (str(d), Fraction(d)))
expressions = st.recursive(
    numbers, lambda some: st.tuples(some, st.sampled_from("+-*/"), some).map(_joined),
    max_leaves=6,
).filter(lambda found: " " in found[0])  # fmt: skip


def _rounded(value: Fraction, digits: int, more: int = 0) -> str:
    scaled = round(value * 10**digits) + more
    whole, rest = divmod(abs(scaled), 10**digits)
    return f"{'-' * (scaled < 0)}{whole}.{rest:0{digits}}"


@exact
@given(expressions, st.integers(1, 4), st.integers(2, 99), st.sampled_from((-1, 1)))
def test_true_results_are_true_and_changed_ones_are_not(made, digits, off, sign):
    """Changed by two of the last digit or more, as halves may go either way."""
    text, value = made
    assert judged(f"{text} = {_rounded(value, digits)}") == [True]
    assert judged(f"{text} = {_rounded(value, digits, sign * off)}") == [False]
    exact = f"{value.numerator} / {value.denominator}"
    assert judged(f"{text} = {exact}") == [True]
    assert judged(f"{text} = {exact} + {off}") == [False]


flat = st.lists(
    st.tuples(st.sampled_from("+-*"), st.integers(0, 99)), min_size=2, max_size=8
)


@exact
@given(flat, st.integers(-99, 99).filter(bool))
def test_precedence_is_that_of_python(parts, off):
    text = "".join(f"{sign}{number}" for sign, number in parts).lstrip("+-*")
    value = eval(text)
    assert judged(f"{text}={value}") == [True]
    assert judged(f"{text}={value + off}") == [False]


def test_blind_spot_true_steps_need_not_concern_the_question():
    found = validity(["How many apples? 1+1=2; 2+2=4. So 17."])
    assert (found.valid[0], found.linked[0]) == (1, 1)


def test_blind_spot_words_are_not_checked():
    assert judged("He lost 3 of 4 dogs, so he now owns 3 + 4 = 7 cats.") == [True]
    assert judged("three and four make nine") == []


def test_blind_spot_another_notation_has_no_steps():
    found = validity(["3 and 4 make 7, then 7 times 2 gives 14", "3 4 + 7"])
    np.testing.assert_array_equal(found.count, [0, 0])
    assert np.isnan(found.valid).all()


@pytest.mark.parametrize(
    "text",
    [
        "30 minutes + 30 minutes = 1 hour",  # units
        "3.33 * 3 = 10",  # 10 / 3, rounded and used again
        "3 + 4 = 7 + 2",  # the first of a running total
        "3,5 + 1 = 4,5",  # decimal commas
        "2 000 + 500 = 2 500",  # spaces between thousands
    ],
)
def test_blind_spot_read_as_false(text):
    assert judged(text) == [False]


def test_blind_spot_small_numbers_link_by_chance():
    """Steps drawn at random mod 10 link at 1 - .9^2 = .19, standard error .02."""
    rng = np.random.default_rng(0)
    chains = []
    for _ in range(400):
        (a, b), (c, d) = rng.integers(0, 10, (2, 2))
        chains.append(f"{a}+{b}={(a + b) % 10}; {c}+{d}={(c + d) % 10}")
    assert abs(validity(chains, 10).linked.mean() - 0.19) < 5 * 0.02
