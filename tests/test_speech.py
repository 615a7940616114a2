"""Speech: the networks against their originals, the base, the judges, the clips."""

import importlib
import itertools
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.io import wavfile

from benchmarks import _speech_dnsmos as dnsmos
from benchmarks._speech_clips import LEVEL, RATE, SAMPLES, clips
from benchmarks._speech_judges import estoi, pesq, si_sdr
from robust import Target
from robust.target import resolve

module = importlib.import_module("benchmarks.speech")
VOICES = 4


@pytest.fixture(scope="module")
def weights():
    """A network of the shapes of p808, with random weights."""
    rng, sizes = np.random.default_rng(0), (1, 32, 32, 32, 32, 64)
    conv = []
    for few, many in itertools.pairwise(sizes):
        kernel = rng.normal(size=(3, 3, few, many)) / np.sqrt(9 * few)
        turned = kernel[::-1, ::-1].swapaxes(2, 3)
        conv.append((kernel, turned, 0.1 * rng.normal(size=many)))
    sizes = (64, 64, 64, 1)
    dense = [
        (rng.normal(size=(a, b)) / 8, 0.1 * rng.normal(size=b))
        for a, b in itertools.pairwise(sizes)
    ]
    tree = {"conv": conv, "dense": dense}
    return jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), tree)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Four tones in noise, in the formats that people have."""
    path, rng = tmp_path_factory.mktemp("clips"), np.random.default_rng(1)
    for i in range(VOICES):
        rate = RATE if i else RATE // 2
        time = np.arange(int(3.3 * rate)) / rate
        wave = 0.3 * np.sin(2 * np.pi * 100 * (i + 2) * time) * np.sin(9 * time) ** 2
        wave += 0.01 * rng.normal(size=len(time))
        pcm = (wave * 32767).astype(np.int16)
        wavfile.write(path / f"{i}.wav", rate, np.stack([pcm, pcm], 1) if i else pcm)
    return path


@pytest.fixture(scope="module")
def context(folder):
    return {"clean": clips(folder), "clip": np.arange(VOICES)}


@pytest.fixture(scope="module")
def target(weights, context) -> Target:
    one = jax.tree.map(lambda leaf: leaf[1], context)
    return module._target(
        weights, jnp.asarray(context["clean"]), jnp.array([5.0, 35.0]), one,
        network="p808",
    )  # fmt: skip


def sweep(samples):
    """A known sound: two rising tones."""
    t = np.arange(samples) / RATE
    slow = 0.3 * np.sin(2 * np.pi * (200 + 300 * t) * t)
    slow = slow * (1 + np.sin(2 * np.pi * 3 * t)) / 2
    return (slow + 0.02 * np.sin(2 * np.pi * 3111 * t * t)).astype(np.float32)[None]


def real(name):
    for package in ("onnx", "speechmos"):
        pytest.importorskip(package, reason="the networks' weights come with it")
    return dnsmos.load(name)


@pytest.mark.parametrize(("samples", "want"), [(51_200, 2.503671), (40_960, 2.4453733)])
def test_p808_is_what_the_package_says(samples, want):
    """speechmos 0.0.1.1 with librosa 0.11.0 and onnxruntime 1.32.0, clip repeated."""
    got = jax.jit(dnsmos.p808)(real("p808"), sweep(samples))
    np.testing.assert_allclose(got, [want], atol=5e-6)


def test_overall_is_what_the_package_says():
    """The same versions; the package's own figure for the repeated clip."""
    got = jax.jit(dnsmos.overall)(real("overall"), sweep(40_960))
    np.testing.assert_allclose(got, [1.086733823569663], atol=5e-6)


@pytest.mark.slow
def test_overall_agrees_with_onnxruntime():
    runtime = pytest.importorskip("onnxruntime", reason="the reference")
    weights = real("overall")
    package = pytest.importorskip("speechmos")
    path = f"{package.__path__[0]}/dnsmos_models/{dnsmos.FILES['overall']}"
    session = runtime.InferenceSession(path)
    score, rng = jax.jit(dnsmos.overall), np.random.default_rng(2)
    for loud in (0.0, 0.003, 0.1):
        noise = loud * rng.standard_normal((1, 51_200), np.float32)
        x = np.clip(sweep(51_200) + noise, -1, 1)
        whole = np.resize(x, (1, dnsmos.LISTENS))
        raw = session.run(None, {"input_1": whole})[0][0, 2]
        want = np.polyval(dnsmos.OVERALL, raw)
        np.testing.assert_allclose(score(weights, x), [want], atol=5e-6)


def test_one_period_and_both_ends_score_as_the_whole(weights, monkeypatch):
    """Random weights, so that the ends matter as much as the middle."""
    x = np.random.default_rng(3).standard_normal((2, 40_960), np.float32)
    short = jax.jit(dnsmos.p808)(weights, x)
    whole = np.arange(900), np.arange(112)
    monkeypatch.setattr(dnsmos, "_strip", lambda samples: whole)
    np.testing.assert_allclose(
        short, jax.jit(lambda w, x: dnsmos.p808(w, x))(weights, x), atol=1e-5
    )
    monkeypatch.undo()
    time, clean = dnsmos._strip(40_960)
    assert len(time) < 400
    assert {*time} >= {*range(256 + 8), *range(896, 900)}
    assert len(clean) == len(time) // 8 - 6
    np.testing.assert_array_equal(dnsmos._strip(3 * 51_200)[0], np.arange(900))


def test_gradient_is_that_of_the_plain_network(weights, monkeypatch):
    """Against automatic differentiation without the hand-written rules."""
    x = 0.1 * np.random.default_rng(4).standard_normal((2, 20_480), np.float32)
    pull = np.array([1.0, -2.0], np.float32)

    @jax.jit
    def pulled(x):
        return jax.vjp(lambda x: dnsmos.p808(weights, x), x)[1](pull)[0]

    got = pulled(x)

    def plain(x, kernel, turned):
        return jax.lax.conv_general_dilated(
            x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )

    monkeypatch.setattr(dnsmos, "_convolve", plain)
    want = pull[:, None] * jax.jit(
        jax.vmap(jax.grad(lambda x: dnsmos._p808(weights, x)))
    )(x)
    np.testing.assert_allclose(got, want, atol=1e-4 * np.abs(want).max())
    assert np.abs(want).max() > 0


def test_clips_of_odd_length_are_refused(weights):
    with pytest.raises(ValueError, match="1000 samples; give a multiple of 1280"):
        dnsmos.p808(weights, np.zeros((1, 1000), np.float32))


def test_base_mixes_the_others_at_the_ratio_that_the_latent_says(target, context):
    key = jax.random.key(0)
    z = jax.jit(lambda: target.base.sample(key, 8))()
    decode = jax.jit(target.base.decode)
    x = np.asarray(decode(z))
    noise = x - context["clean"][1]
    power = (context["clean"][1] ** 2).mean() / (noise**2).mean(axis=1)
    np.testing.assert_allclose(10 * np.log10(power), z["snr"], atol=1e-2)
    assert z["snr"].min() >= 5
    assert z["snr"].max() <= 35
    assert np.abs(target.base.project(3 * x)).max() <= 1
    # Its own volume does not matter: a voice is no noise to itself.
    louder = z | {"volume": z["volume"].at[:, 1].set(9.0)}
    np.testing.assert_array_equal(x, decode(louder))


def test_moved_draws_are_base_draws(target):
    """Mean ratio of moved draws: z-test, standard error 30 / sqrt(12 N); 5 of them."""
    num = 2000

    @jax.jit
    def draw(key):
        keys = jax.random.split(key)
        z = target.base.sample(keys[0], num)
        return z, target.base.move(keys[1], z, 0.4)

    z, moved = draw(jax.random.key(1))
    assert abs(moved["snr"].mean() - 20) < 5 * 30 / np.sqrt(12 * num)
    assert not np.array_equal(moved["start"], z["start"])


def test_judges_know_the_original_and_hear_noise(context):
    clean = context["clean"]
    noise = np.random.default_rng(5).standard_normal(clean.shape)
    noise -= clean * ((noise * clean).sum(1) / (clean**2).sum(1))[:, None]
    noise *= (0.1 * np.linalg.norm(clean, axis=1) / np.linalg.norm(noise, axis=1))[
        :, None
    ]
    np.testing.assert_allclose(si_sdr(3 * (clean + noise), context), 20, atol=1e-3)
    assert si_sdr(clean, context).min() > 60


@pytest.mark.parametrize(
    ("package", "judge", "best"), [("pesq", pesq, 4.64), ("pystoi", estoi, 1.0)]
)
def test_packages_judge_the_original_best(package, judge, best):
    pytest.importorskip(package, reason="the judge")
    pytest.importorskip("espeakng_loader", reason="PESQ wants speech")
    clean = clips()[:1]
    noisy = clean + 0.1 * np.random.default_rng(6).standard_normal(clean.shape)
    both = np.concatenate([clean, noisy.astype(np.float32)])
    scores = judge(both, {"clean": np.repeat(clean, 2, axis=0)})
    assert scores[0] == pytest.approx(best, abs=0.01)
    assert scores[1] < 0.9 * best


def test_folder_of_recordings(folder, context, tmp_path):
    clean = context["clean"]
    assert clean.shape == (VOICES, SAMPLES)
    np.testing.assert_allclose(np.sqrt((clean**2).mean(axis=1)), LEVEL, rtol=1e-4)
    for i, wave in enumerate(clean):  # resampled and mixed down: the tone is there
        peak = np.fft.rfftfreq(SAMPLES, 1 / RATE)[np.abs(np.fft.rfft(wave)).argmax()]
        assert abs(peak - 100 * (i + 2)) < 5
    with pytest.raises(ValueError, match=r"holds 0 \.wav files; give at least two"):
        clips(tmp_path)
    for i in range(2):
        wavfile.write(tmp_path / f"{i}.wav", RATE, np.ones(RATE, np.float32))
    with pytest.raises(ValueError, match=r"1\.00 s of sound; give clips of at least"):
        clips(tmp_path)


def test_recordings_of_eight_bits_are_heard_as_those_of_sixteen(folder, tmp_path):
    """Rounding to 1/128 of a sound of rms .1 leaves a correlation above .99."""
    (tmp_path / "wide").mkdir()
    for i in range(2):
        rate, wave = wavfile.read(folder / f"{i + 1}.wav")
        narrow = np.round(wave / 32767 * 127 + 128).astype(np.uint8)
        wavfile.write(tmp_path / f"{i}.WAV", rate, narrow)
        wavfile.write(tmp_path / "wide" / f"{i}.wav", rate, wave)
    both = zip(clips(tmp_path), clips(tmp_path / "wide"), strict=True)
    assert all(np.corrcoef(*pair)[0, 1] > 0.99 for pair in both)
    silent = np.full(4 * RATE, 128, np.uint8)
    wavfile.write(tmp_path / "0.WAV", RATE, silent)
    with pytest.raises(ValueError, match=r"0\.WAV has 0\.00 s of sound"):
        clips(tmp_path)


@pytest.mark.parametrize("damage", ["cut", "empty", "folder"])
def test_a_damaged_recording_is_named(folder, tmp_path, damage):
    for name in "01":
        data = (folder / f"{name}.wav").read_bytes()
        (tmp_path / f"{name}.wav").write_bytes(data)
    bad = tmp_path / "2.wav"
    if damage == "folder":
        bad.mkdir()
    else:
        bad.write_bytes(data[:30] if damage == "cut" else b"")
    with pytest.raises(ValueError, match=r"2\.wav: .*; give PCM or float WAV files"):
        clips(tmp_path)
    with pytest.raises(ValueError, match=r"no folder '.*nowhere'; name one of WAV"):
        clips(tmp_path / "nowhere")


def test_synthetic_clips_are_distinct():
    pytest.importorskip("espeakng_loader", reason="the synthesiser")
    clean = clips()
    assert clean.shape == (8, SAMPLES)
    assert np.abs(np.corrcoef(clean) - np.eye(8)).max() < 0.2


def test_task(folder, tmp_path, monkeypatch):
    for package in ("onnx", "speechmos", "pesq", "pystoi"):
        pytest.importorskip(package, reason="of the extra")
    task = module.speech(folder=folder)
    assert len(task.context["clean"]) == VOICES
    assert {"pesq"}.isdisjoint(task.judges)
    one = jax.tree.map(lambda leaf: leaf[0], task.context)
    assert isinstance(resolve(task.target, 0, one), Target)
    monkeypatch.setenv("ROBUST_SPEECH", str(folder))
    quiet = module.speech_clean()
    np.testing.assert_array_equal(quiet.context["clean"], task.context["clean"])
    assert quiet.attacks["gradient_ascent"]["radius"] == 0.02
    overall = module.speech_overall()
    held_out = overall.judges["p808"](task.context["clean"][:1], None)
    assert 1 < held_out[0] < 5
    pictures = task.render(task.context["clean"])
    assert pictures.shape == (VOICES, 80, 160)
    assert pictures.min() >= 0
    assert pictures.max() <= 1
    task.export(tmp_path, "base", task.context["clean"])
    rate, wave = wavfile.read(tmp_path / "base-3.wav")
    assert rate == RATE
    np.testing.assert_allclose(wave / 32767, task.context["clean"][3], atol=1e-4)


def test_bad_input_is_named(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ValueError, match=r"needs onnx; pip install .*\[speech\]"):
        module.speech(folder=folder)
