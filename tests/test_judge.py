"""Judging: shapes, who is asked about what, and what is refused."""

import numpy as np
import pytest

from robust import Trace, batched, score

SHAPE = (2, 3, 4)  # seeds, checkpoints, kept slots
X = np.random.default_rng(0).normal(size=(*SHAPE, 5)).astype(np.float32)


def trace(x=X, context=None):
    nothing = np.zeros(SHAPE[1], int)
    proxy = np.zeros((*SHAPE[:2], 9))
    unit = np.arange(SHAPE[0])
    return Trace(x, proxy, {}, nothing, nothing, nothing, unit, context, {})


def total(x):
    return x.sum(axis=1)


class Asked:
    """A judge that remembers what it was asked."""

    def __init__(self, judge):
        self.judge, self.inputs = judge, []

    def __call__(self, *given):
        self.inputs.append(given)
        return self.judge(*given)


def test_scores_lie_where_their_candidates_lie():
    judge = Asked(total)
    true = score(trace(), judge)
    np.testing.assert_allclose(true, X.sum(axis=-1), rtol=1e-6)
    assert true.dtype == np.float64
    (given,) = judge.inputs
    assert isinstance(given[0], np.ndarray)
    np.testing.assert_array_equal(given[0], X.reshape(-1, 5))


def test_raters_keep_an_axis():
    true = score(trace(), lambda x: np.stack([total(x), -total(x)], axis=1))
    assert true.shape == (*SHAPE, 2)
    np.testing.assert_allclose(true[..., 1], -X.sum(axis=-1), rtol=1e-6)


def test_inputs_may_be_trees_of_any_type():
    x = {"flag": X[..., 0] > 0, "site": (9 * X[..., :2]).astype(np.int32), "w": X}

    def judge(x):
        assert {name: leaf.dtype for name, leaf in x.items()} == {
            "flag": bool, "site": np.int32, "w": np.float32,
        }  # fmt: skip
        return x["flag"] + x["site"].sum(axis=1) + total(x["w"])

    want = x["flag"] + x["site"].sum(axis=-1) + X.sum(axis=-1)
    np.testing.assert_allclose(score(trace(x), judge), want, rtol=1e-6)


@pytest.fixture
def copies():
    """24 candidates of which 3 differ, first found in the order 2, 0, 1."""
    which = np.array([2, 2, 0, 1, *np.resize([1, 0, 2], 20)]).reshape(SHAPE)
    return X[0, 0][which], which


def test_equal_inputs_are_asked_about_once(copies):
    x, which = copies
    judge = Asked(total)
    true = score(trace(x), judge)
    np.testing.assert_array_equal(judge.inputs[0][0], X[0, 0][[2, 0, 1]])
    np.testing.assert_allclose(true, X[0, 0].sum(axis=-1)[which], rtol=1e-6)


def test_a_random_judge_is_asked_each_time(copies):
    judge = Asked(lambda x: np.arange(len(x)))
    true = score(trace(copies[0]), judge, dedupe=False)
    np.testing.assert_array_equal(true, np.arange(24).reshape(SHAPE))


def test_equal_inputs_to_other_prompts_are_other_questions(copies):
    x, which = copies
    judge = Asked(lambda x, context: total(x) * context["c"][:, 0])
    context = {"c": np.array([[1.0], [10.0]])}
    true = score(trace(x, context), judge)
    want = X[0, 0].sum(axis=-1)[which] * np.array([1, 10])[:, None, None]
    np.testing.assert_allclose(true, want, rtol=1e-6)
    assert len(judge.inputs[0][0]) == 6


@pytest.mark.parametrize(
    ("judge", "got"),
    [
        (lambda x: x.sum(), r"\(\)"),
        (lambda x: total(x)[:-1], r"\(23,\)"),
        (lambda x: total(x)[None], r"\(1, 24\)"),
        (lambda x: x[:, :, None], r"\(24, 5, 1\)"),
        (lambda x: x[:, :0], r"\(24, 0\)"),
    ],
)
def test_wrong_shapes_are_refused(judge, got):
    message = rf"judge returned shape {got} for 24 .* shape \(24,\), or \(24, R\) for R"
    with pytest.raises(ValueError, match=message):
        score(trace(), judge)


@pytest.mark.parametrize("raters", [False, True])
@pytest.mark.parametrize(("value", "kind"), [(np.nan, "NaN"), (np.inf, "infinity")])
def test_undefined_scores_are_counted_and_located(value, kind, raters):
    def judge(x):
        true = total(x)
        true[[17, 20]] = value
        return np.stack([true, np.zeros(24)], axis=1) if raters else true

    message = (
        f"judge returned {kind} or other non-finite scores for 2 of 24 candidates "
        r"\(the first: seed 1, checkpoint 1, slot 1\); make it return a finite number"
    )
    with pytest.raises(ValueError, match=message):
        score(trace(), judge)


def test_copies_of_an_undefined_score_count(copies):
    x, which = copies
    bad = (which == 0).sum()
    with pytest.raises(ValueError, match=rf"{bad} of 24 .*checkpoint 0, slot 2\)"):
        score(trace(x), lambda x: [0.0, np.nan, 0.0])


def test_batches_are_no_larger_than_asked():
    judge = Asked(total)
    true = score(trace(), batched(judge, 7))
    assert [len(x) for (x,) in judge.inputs] == [7, 7, 7, 3]
    np.testing.assert_array_equal(true, score(trace(), total))


def test_batches_carry_their_prompts():
    judge = Asked(lambda x, context: np.stack([total(x), context], axis=1))
    true = score(trace(context=np.array([3.0, 4.0])), batched(judge, 7))
    assert [len(context) for _, context in judge.inputs] == [7, 7, 7, 3]
    assert np.all(true[0, ..., 1] == 3)
    assert np.all(true[1, ..., 1] == 4)
