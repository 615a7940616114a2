"""Splitting against closed forms and enumeration, to 69 nats."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from attacks import splitting
from robust import Target, bind, gaussian, pool, run, tokens
from robust.measure import diagnosis

# Five sites of a motif of probability e^-9.2, and a sixth that never comes up.
LOGITS = np.log([[0.16, 0.5, 0.34]] * 5 + [[1e-20, 0.5, 0.5]])
SEQUENCES = np.array(list(itertools.product(range(3), repeat=6)))
SHARE = np.exp(LOGITS)[np.arange(6), SEQUENCES].prod(axis=1)


def linear(direction, hole, x):
    """Standard normal on a Gaussian base, and undefined beyond the hole's edge."""
    return jnp.where(x[:, 0] > hole, jnp.nan, (x * direction[None]).sum(axis=1))


def nearness(center, x):
    """Minus a non-central chi-square variable on a Gaussian base."""
    return -((x - center[None]) ** 2).sum(axis=1)


def matches(x):
    found = (x[:, :5] == 0).sum(axis=1)
    return found + jnp.where((found == 5) & (x[:, 5] == 0), 1.0, 0.0)


SCORES = np.asarray(matches(SEQUENCES))


def push(proxy, base, levels, *, seeds, slots, keep=1):
    return run(
        splitting(levels), Target(proxy, base), jax.random.key(0),
        seeds=seeds, slots=slots, keep=keep,
    )  # fmt: skip


@pytest.fixture(scope="module")
def deep():
    proxy = bind(linear, jnp.sqrt(jnp.array([0.5, 0.5])), jnp.array(jnp.inf))
    return push(proxy, gaussian(2), 100, seeds=10, slots=8192)


@pytest.fixture(scope="module")
def ties():
    return push(matches, tokens(6, 3, LOGITS), 12, seeds=24, slots=512, keep=512)


@pytest.fixture(scope="module")
def finite_pool():
    return push(lambda x: x, pool(jnp.arange(200.0)), 12, seeds=16, slots=512)


@pytest.fixture(scope="module")
def holes():
    proxy = bind(linear, jnp.array([0.0, 1.0]), jnp.array(0.0))
    return push(proxy, gaussian(2), 15, seeds=10, slots=8192)


every_run = pytest.mark.parametrize("name", ["deep", "ties", "finite_pool", "holes"])


def nats_above(scores, share, level, tied=False):
    """-ln P(score > level), or >= level, by enumeration."""
    above = scores >= level[..., None] if tied else scores > level[..., None]
    return -np.log((share * above).sum(axis=-1))


def assert_agree(estimate, truth, running):
    """At each checkpoint seeds agree with the truth, within 4 errors.

    Standard error: sd of estimate - truth over seeds / sqrt(seeds).
    """
    for t in range(1, running.shape[1]):
        error = (estimate - truth)[running[:, t], t]
        if len(error) > 5:
            assert abs(error.mean()) <= 4 * error.std(ddof=1) / np.sqrt(len(error))


@pytest.mark.parametrize(("steps", "nats"), [(29, 20), (58, 40), (100, 69)])
def test_tail_of_a_gaussian(deep, steps, nats):
    """Each key within 4 standard errors of the closed form, their mean within .15 nats.

    Standard error of -ln P after K levels that N particles pass with shares p_k:
    sqrt(sum (1 - p_k) / (N p_k)).
    """
    assert_tail(deep, steps, nats)


@pytest.mark.slow
def test_tail_beyond_a_hundred_nats():
    proxy = bind(linear, jnp.sqrt(jnp.array([0.5, 0.5])), jnp.array(jnp.inf))
    trace = push(proxy, gaussian(2), 190, seeds=10, slots=8192)
    for steps, nats in ((145, 100.5), (190, 132)):
        assert_tail(trace, steps, nats)


def assert_tail(trace, steps, nats):
    power, level = trace.info["power"][:, steps], trace.info["level"][:, steps]
    truth = -stats.norm.logsf(level.astype(float))
    share = trace.info["survivors"][:, 1 : steps + 1]
    error = np.sqrt(((1 - share) / (8192 * share)).sum(axis=1))
    assert np.all(np.abs(truth - nats) < 1)
    assert np.all(np.abs(power - truth) <= 4 * error)
    assert abs(np.mean(power - truth)) <= 0.15


@pytest.mark.parametrize("name", ["linear", "nearness"])
def test_quoted_errors_are_honest(name):
    """Of 200 keys, 95 % intervals cover in 91 to 98 %, and the mean z is within .3.

    The tails are those of a normal and of a non-central chi-square (8 degrees,
    non-centrality 16), to 14 nats. Coverage errs by sqrt(.95 .05 / 200) = 1.5 %.
    """
    if name == "linear":
        proxy = bind(linear, jnp.full(8, 8**-0.5), jnp.array(jnp.inf))
        log_above = stats.norm.logsf
    else:
        proxy = bind(nearness, 4.0 * jnp.eye(8)[0])

        def log_above(level):
            return stats.ncx2.logcdf(-level, 8, 16)

    info = push(proxy, gaussian(8), 20, seeds=200, slots=512).info
    for level in (5, 10, 20):
        truth = -log_above(info["level"][:, level].astype(float))
        z = (info["power"][:, level] - truth) / info["error"][:, level]
        assert 0.91 <= np.mean(np.abs(z) <= stats.norm.ppf(0.975)) <= 0.98
        assert abs(z.mean()) <= 0.3


def test_error_is_one_when_all_descend_from_one_draw():
    """Nothing is left then to read an error off: it must not look small."""
    info = push(lambda x: x[:, 0], gaussian(2), 20, seeds=8, slots=8).info
    alone = info["ancestors"] == 1
    assert alone[:, -1].any()
    assert np.all(info["error"][alone] == 1)


def test_acceptance_settles_near_its_goal(deep):
    assert np.all(np.abs(deep.info["acceptance"][:, 10:] - 0.3) < 0.02)


@every_run
def test_power_rises_until_the_plateau(request, name):
    trace = request.getfixturevalue(name)
    info = trace.info
    running, rise = ~info["plateau"][:, 1:], np.diff(info["power"], axis=1)
    assert np.all(rise[running] > 0)
    assert np.all(rise[~running] == 0)
    assert np.isfinite(info["power"]).all()
    assert np.all(info["tie"][:, 1:] <= info["power"][:, 1:])
    np.testing.assert_array_equal(info["kl"], info["power"])
    above = trace.proxy[:, 1:] > info["level"][:, 1:, None]
    assert above[running].all()
    flat = trace.proxy[:, 1:][~running]
    assert np.all(flat <= info["top"][:, 1:][~running][:, None])


def test_levels_with_ties_against_enumeration(ties):
    info, level, running = ties.info, ties.info["level"], ~ties.info["plateau"]
    assert_agree(info["power"], nats_above(SCORES, SHARE, level), running)
    assert_agree(info["tie"], nats_above(SCORES, SHARE, level, tied=True), running)


def test_population_is_the_base_given_a_higher_score(ties):
    """Frequencies of each token at each site, within 5 errors at each checkpoint.

    Standard error: sd of the difference to the enumerated frequency over seeds /
    sqrt(seeds).
    """
    level, running = ties.info["level"], ~ties.info["plateau"]
    weight = SHARE * (level[..., None] < SCORES)
    weight = weight / weight.sum(axis=-1, keepdims=True)
    for site, token in itertools.product(range(6), range(3)):
        want = (weight * (SEQUENCES[:, site] == token)).sum(axis=-1)
        difference = (ties.x[..., site] == token).mean(axis=-1) - want
        for t in range(1, running.shape[1]):
            error = difference[running[:, t], t]
            if len(error) > 5:
                limit = 5 * error.std(ddof=1) / np.sqrt(len(error))
                assert abs(error.mean()) <= limit + 1e-6


def test_ties_end_in_a_plateau(ties):
    """-ln P(score >= top), within 4 errors: sd over seeds / sqrt(seeds)."""
    assert ties.info["plateau"][:, -1].all()
    np.testing.assert_array_equal(ties.info["top"][:, -1], 5)
    at_top = ties.info["at_top"][:, -1]
    error = at_top - nats_above(SCORES, SHARE, np.array(5.0), tied=True)
    assert abs(error.mean()) <= 4 * error.std(ddof=1) / np.sqrt(len(error))
    assert np.isnan(ties.info["top"][~ties.info["plateau"]]).all()


def test_pool_ends_at_its_best_item(finite_pool):
    """-ln P(score >= top) = ln 200, within 4 errors: sd over seeds / sqrt(seeds)."""
    info, scores = finite_pool.info, np.arange(200.0)
    running = ~info["plateau"]
    truth = nats_above(scores, np.full(200, 1 / 200), info["level"])
    assert_agree(info["power"], truth, running)
    assert not running[:, -1].any()
    np.testing.assert_array_equal(info["top"][:, -1], 199)
    error = info["at_top"][:, -1] - np.log(200)
    assert abs(error.mean()) <= 4 * error.std(ddof=1) / np.sqrt(len(error))


def test_undefined_scores_lie_below_all_others(holes):
    truth = np.log(2) - stats.norm.logsf(holes.info["level"].astype(float))
    assert_agree(holes.info["power"], truth, ~holes.info["plateau"])
    assert np.isnan(holes.proxy[:, 0]).any()
    assert np.isfinite(holes.proxy[:, 1:]).all()


@pytest.mark.parametrize("options", [{"levels": 0}, {"moves": 0}])
def test_counts_must_be_positive(options):
    with pytest.raises(ValueError, match=r"got levels=\d+, moves=\d+; both must be"):
        splitting(**options)


def needle(x):
    """A ratio whose heights lie where three coordinates all but vanish."""
    return x[:, 1] / jnp.sqrt((x[:, 2:5] ** 2).mean(axis=1))


def test_particles_that_hardly_move_are_noticed():
    """A linear proxy renews a tenth at 14 nats; a ratio next to nothing."""
    proxy = bind(linear, jnp.full(8, 8**-0.5), jnp.array(jnp.inf))
    mixed = push(proxy, gaussian(8), 20, seeds=4, slots=512).info["refreshed"]
    stuck = push(needle, gaussian(8), 20, seeds=4, slots=512).info["refreshed"]
    assert diagnosis.mixing(mixed).status is diagnosis.Status.OK
    assert diagnosis.mixing(stuck).status is diagnosis.Status.FAIL
    assert diagnosis.mixing(None).status is diagnosis.Status.EXEMPT
    assert np.all((mixed > 0) & (mixed <= 1))
