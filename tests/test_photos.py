"""Photos judged by BRISQUE: parity with its package, judges, base, control."""

import importlib
import importlib.util
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import gamma

from benchmarks import _photos_brisque as brisque
from benchmarks import _photos_judges as judges

tasks = importlib.import_module("benchmarks.photos")

needs_model = pytest.mark.skipif(
    importlib.util.find_spec("brisque") is None,
    reason="the fitted model is in the package brisque, of the extra image",
)


def waves(size=64):
    """A smooth picture, and the same with ripples: `[1, size, size]` each."""
    i = np.arange(float(size))
    smooth = 0.5 + 0.4 * np.sin(0.02 * i[:, None] * i[None]) * np.cos(0.3 * i)[None]
    ripples = 0.15 * np.sin(2.1 * i[:, None] + 1.7 * i[None])
    return smooth[None], np.clip(smooth + ripples, 0, 1)[None]


@pytest.fixture(scope="module")
def pristine():
    pytest.importorskip("skimage", reason="the photos are in scikit-image")
    return tasks._pristine("photos")


@pytest.fixture(scope="module")
def noisy(pristine):
    noise = np.random.default_rng(0).standard_normal(pristine.shape, np.float32)
    levels = np.linspace(0, 0.2, len(pristine), dtype=np.float32)[:, None, None]
    return np.clip(pristine + levels * noise, 0, 1)


@pytest.fixture(scope="module")
def score_and_slope():
    """Of a batch of photos by the fitted model."""
    if importlib.util.find_spec("brisque") is None:
        pytest.skip("the fitted model is in the package brisque, of the extra image")
    model = brisque.load("photos")

    @jax.jit
    def both(x):
        score, pull = jax.vjp(lambda x: brisque.brisque(model, x), x)
        return score, pull(jnp.ones_like(score))[0]

    return both


@pytest.mark.parametrize("shape", [0.3, 1.0, 2.0, 5.0])
def test_fit_inverts_the_moments_of_an_asymmetric_generalised_gaussian(shape):
    """Closed form: E|x|^k of each side is scale^k gamma((k+1)/a) / gamma(1/a)."""
    scales = np.array([0.5, 1.5])
    share = scales / scales.sum()  # of the mass, for a density without a jump
    first, second = (
        scales**k * gamma((k + 1) / shape) / gamma(1 / shape) for k in (1, 2)
    )
    moments = share @ first, share @ second, share[0] * second[0], share[0]
    found = brisque.fit(jnp.asarray(moments, jnp.float32))
    mean = (scales[1] - scales[0]) * gamma(2 / shape) / gamma(1 / shape)
    np.testing.assert_allclose(found, [shape, mean, *second], rtol=2e-4)


def test_a_blank_photo_has_a_finite_score_and_slope(score_and_slope):
    score, slope = score_and_slope(jnp.ones((8, 96, 96)))
    assert bool(jnp.isfinite(score).all())
    assert bool(jnp.isfinite(slope).all())


def test_parity_with_the_package(noisy, score_and_slope):
    """Within .03 of 100 of the package's own score; the difference is float32."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        package = pytest.importorskip(
            "brisque", reason="needs OpenCV and libsvm", exc_type=ImportError
        )

        class Package(package.BRISQUE):
            def scale_features(self, features):
                # Some are arrays of one number, which NumPy 2.4 no longer converts.
                return super().scale_features([np.asarray(f).item() for f in features])

        judge = Package()
        wanted = [judge.score(np.repeat(x[..., None], 3, axis=2)) for x in noisy]
    np.testing.assert_allclose(score_and_slope(noisy)[0], wanted, atol=0.03)


def test_slope_predicts_a_small_step_along_it(noisy, score_and_slope):
    """Steps of 1e-4 per pixel along the slope's signs: within a tenth, on average.

    Single photos differ more, since a pixel that changes sign makes a small jump.
    """
    _, slope = score_and_slope(noisy)
    step = 1e-4 * jnp.sign(slope)
    risen = score_and_slope(noisy + step)[0] - score_and_slope(noisy - step)[0]
    predicted = 2 * (slope * step).sum(axis=(1, 2))
    assert abs(float(risen.sum() / predicted.sum()) - 1) < 0.1


def test_a_photo_scores_the_same_in_any_batch(noisy, score_and_slope):
    """Batches of 8 and 5 are cut into blocks of other sizes, one of them padded."""
    part = jax.jit(brisque.brisque)(brisque.load("photos"), jnp.asarray(noisy[:5]))
    np.testing.assert_allclose(score_and_slope(noisy)[0][:5], part, atol=0.03)


def test_ssim_and_psnr_agree_with_scikit_image(pristine, noisy):
    metrics = pytest.importorskip("skimage.metrics", reason="the reference")
    options = {"gaussian_weights": True, "use_sample_covariance": False}
    pairs = list(zip(pristine[1:], noisy[1:], strict=True))
    similar = [
        metrics.structural_similarity(a, b, data_range=1, sigma=1.5, **options)
        for a, b in pairs
    ]
    peak = [metrics.peak_signal_noise_ratio(a, b, data_range=1) for a, b in pairs]
    ours = judges.ssim(noisy[1:], pristine[1:])
    np.testing.assert_allclose(ours, similar, atol=1e-5)
    np.testing.assert_allclose(judges.psnr(noisy[1:], pristine[1:]), peak, atol=1e-4)
    oracle = jax.jit(judges.ssim)(jnp.asarray(noisy[1:]), jnp.asarray(pristine[1:]))
    np.testing.assert_allclose(oracle, ours, atol=1e-5)


def test_fsim_agrees_with_piq():
    """0.90953 is what piq 0.8 says of these pictures (luminance only)."""
    smooth, rippled = waves()
    assert judges.fsim(rippled, smooth)[0] == pytest.approx(0.9095289, abs=1e-4)


def test_an_equal_photo_is_best_and_order_does_not_matter():
    smooth, rippled = waves()
    photo = np.concatenate([smooth, smooth, rippled]).astype(np.float32)
    x = np.concatenate([smooth, rippled, rippled]).astype(np.float32)
    for judge, best in ((judges.ssim, 1), (judges.fsim, 1), (judges.psnr, 100)):
        scores = judge(x, photo)
        np.testing.assert_allclose(scores[[0, 2]], best, rtol=1e-5)
        assert scores[1] < best
        np.testing.assert_allclose(judge(x[::-1], photo[::-1]), scores[::-1], rtol=1e-6)


def test_base_stays_legal_and_its_move_leaves_it_invariant():
    """Strength of noise of moved draws: two-sample z of the mean.

    Standard error sqrt(2 var / N); 5 of them.
    """
    photo = jnp.full((8, 8), 0.5)
    base = tasks._base(photo)
    keys = jax.random.split(jax.random.key(3))
    z = base.sample(keys[0], 4096)
    assert base.move is not None
    x, moved = base.decode(z), base.decode(base.move(keys[1], z, 0.3))
    a, b = (((v - photo[None]) ** 2).mean(axis=(1, 2)) for v in (x, moved))
    assert abs(a.mean() - b.mean()) < 5 * np.sqrt(2 * a.var() / len(a))
    assert float(x.min()) >= 0
    assert float(x.max()) <= 1
    assert float(base.project(2 * x).max()) == 1
    np.testing.assert_array_equal(x, base.decode(base.sample(keys[0], 4096)))


def test_photos_are_grey_squares_in_range(pristine):
    assert pristine.shape == (8, 96, 96)
    assert pristine.min() >= 0
    assert pristine.max() <= 1
    assert tasks._render(pristine[:2]).shape == (2, 96, 96, 3)


def test_control_asks_the_judge_itself(pristine, noisy):
    task = tasks.photos_ssim()
    target = task.target(jnp.asarray(pristine[3]))
    repeated = np.repeat(pristine[3:4], len(noisy), axis=0)
    found = jax.jit(target.proxy)(jnp.asarray(noisy))
    np.testing.assert_allclose(found, task.judge(noisy, repeated), atol=1e-5)


@needs_model
def test_settings_keep_the_photo_as_the_unit(pristine):
    task = tasks.photos()
    assert len(task.context) == 8
    assert task.settings["seeds"] == 1
    assert tasks.photos(seeds=3).settings["seeds"] == 3
    assert set(task.judges) == {"psnr", "fsim"}
    faint = tasks.photos_faint()
    assert faint.attacks["square"]["radius"] == 4 / 255


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        ValueError, match=r"'photos' needs brisque; pip install .*image"
    ):
        brisque.load("photos")
