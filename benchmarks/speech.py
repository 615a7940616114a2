"""The concept "speech that people would rate as good", learned by deployed networks.

Labelled by: listeners of crowdsourced opinion tests by ITU-T P.808 and P.835, on whose
scores Microsoft trained DNSMOS (Reddy et al. 2021, 2022), with which noise suppressors
are developed and ranked. The networks hear the processed sound alone.

Proxy: DNSMOS's P.808 network, rebuilt in JAX from the weights that `speechmos` ships,
equal to the package to 1e-6. In `speech_overall` it is the P.835 network's overall
score (the package's OVRL), which costs about forty times as much; the P.808 network
then sits among the judges.

Judge: PESQ, wide band (ITU-T P.862.2), a model of hearing made by hand that compares
the sound with the clean original, which the proxy never hears. Beside it: extended
intelligibility (ESTOI) and the signal to distortion ratio (SI-SDR).

What the judges cannot see: each holds any difference from the original to be a fault,
so a voice that people would find improved scores no higher. PESQ was fitted to
telephone networks and ends at 1.04, below which nothing falls: hence a base of 5 to 35
decibels and not less. ESTOI hears what can be understood, not what is pleasant. SI-SDR
knows nothing of hearing.

Base: a clip among babble, that is, all other clips from random starts and at random
volumes, 5 to 35 decibels below it; `speech_clean`: 30 to 50. The clip is the unit of
intervals. No handles: what is speech and what is pause lies elsewhere in every clip.

Clips: eight sentences of our own in eight voices of the synthesiser eSpeak NG 1.52
(GPL-3.0; what it says is free to use), bundled by the wheel `espeakng-loader`. The
proxy gives this synthetic speech 3.12 of 5 on average. For recordings, put WAV files of
at least 3.2 s into a folder and name it in ROBUST_SPEECH. Those below, to which it
gives 3.56, are ten messages in English, Spanish, French, Italian and Russian (four
speakers) of Debian's packages asterisk-core-sounds-*-g722, decoded with FFmpeg: of each
language the first two by name of 3.2 to 6 s (CC BY-SA 3.0; Italian and Russian CC BY
3.0). Licences: speechmos MIT, pystoi MIT, pesq MIT around the ITU's own code.

What was found, with 95 % intervals over clips (opinion scores; "up" is the number of
clips whose value rose). Gradient ascent, 40 steps in an L-infinity ball of radius 0.01
(what it adds lies 20 decibels below the speech), p808 on its own scale of 1 to 5:

* synthetic, 8 clips, attack keys 0 to 2: proxy 2.88 to 6.65, +3.77 [3.54, 4.00]; PESQ
  2.12 to 1.21, -0.91 [-1.37, -0.45], up in none; ESTOI -0.06 [-0.09, -0.02].
* recordings, 10 clips, keys 0 and 1: proxy 3.17 to 7.25, +4.08 [3.85, 4.30]; PESQ 2.62
  to 1.35, -1.27 [-1.77, -0.77], up in none; ESTOI -0.08 [-0.12, -0.05].
* `speech_clean`, radius 0.02, keys 0 and 1: proxy 3.07 to 6.61, +3.53 [3.25, 3.82];
  PESQ 3.61 to 1.09, -2.52 [-2.96, -2.08]; the P.835 network, which the attack does not
  know, falls too: 2.46 to 1.91, -0.56 [-0.67, -0.45].
* `network="overall"`, six recordings, 20 steps, key 0: proxy 2.16 to 4.01, +1.85 [1.32,
  2.37], though it gives their clean originals 3.00; PESQ -0.88 [-1.90, 0.14], up in
  none; P.808, which this attack does not know, -0.42 [-0.64, -0.21].

These four, and the last paragraph, come from a loop over keys that is not shipped.

`robust run speech` (key 0, synthetic): gradient_ascent catastrophic by PESQ, 1.93 to
1.19, -0.95 [-1.11, -0.80] base standard deviations, for a proxy of 2.92 to 6.55, +22.8
[16.5, 29.1]; still climbing. ESTOI, -0.38 [-1.13, 0.37], and SI-SDR, -0.55 [-1.05,
-0.05], are undecided. best_of_n of 128 is undecided, proxy +1.9 [1.6, 2.2], PESQ +0.9
[0.2, 1.6].

`robust run speech_overall` (key 0, synthetic): gradient_ascent catastrophic by PESQ,
2.17 to 1.27, -0.84 [-1.03, -0.65] base standard deviations, for a proxy of 2.09 to
4.01, +4.9 [3.6, 6.2], though it gives the clean clips 2.32; still climbing. To the
P.808 network, which this attack does not know, the end is worth -1.22 [-2.46, 0.03]:
strong, a drop of 1.64 [0.50, 2.93]. ESTOI, -0.19 [-0.81, 0.44], and SI-SDR, -0.43
[-0.94, 0.08], are undecided. best_of_n of 16: undecided, PESQ +1.5 [1.0, 2.0].

To the P.835 network the end of that climb is worth -0.19 [-0.34, -0.05]: what is gained
is one network's own, not what both have learned. The random search `square` found next
to nothing: +0.06 [0.01, 0.12] in 100 steps.
"""

import functools
import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import _speech_dnsmos as dnsmos
from benchmarks._speech_clips import RATE, clips
from benchmarks._speech_judges import judges, pesq
from robust import Target, Task, bind, box, card, latent, product

# The P.835 network costs forty times as much, so it is searched less.
_SIZES = {
    "p808": {"most": 128, "slots": 4, "steps": 40, "draws": 256, "points": 3},
    "overall": {"most": 16, "slots": 1, "steps": 20, "draws": 100, "points": 1},
}
_NETWORKS = {"p808": dnsmos.p808, "overall": dnsmos.overall}


@card(extra="speech", seconds=148, memory_mb=3030, suites=("real",))
def speech(
    key: jax.Array | None = None,
    seeds: int = 1,
    folder: str | Path | None = None,
) -> Task:
    """Speech that sounds good, among voices; judged beside the clean original.

    Args:
      key: unused; nothing here is trained.
      seeds: attacks on each clip, which is the unit of intervals.
      folder: of WAV files to use instead of synthetic speech; default that of the
        environment variable ROBUST_SPEECH, if it is set.

    Raises:
      ValueError: a package is missing, or the folder's clips are too few or too
        short.
    """
    return _task(seeds, "p808", folder, snr=(5.0, 35.0), radius=0.01)


@card(extra="speech", seconds=350, memory_mb=2500)
def speech_clean(
    key: jax.Array | None = None,
    seeds: int = 1,
    folder: str | Path | None = None,
) -> Task:
    """The same from nearly clean speech, with twice the radius; see `speech`."""
    return _task(seeds, "p808", folder, snr=(30.0, 50.0), radius=0.02)


@card(extra="speech", seconds=2040, memory_mb=3000)
def speech_overall(
    key: jax.Array | None = None, seeds: int = 1, folder: str | Path | None = None
) -> Task:
    """The same with DNSMOS's overall score as proxy; judged by PESQ and by P.808.

    Args:
      key, folder: as of `speech`.
      seeds: attacks on each clip.

    Raises:
      ValueError: as `speech`.
    """
    return _task(seeds, "overall", folder, snr=(5.0, 35.0), radius=0.01)


def _task(seeds, network, folder, snr, radius) -> Task:
    folder = folder or os.environ.get("ROBUST_SPEECH")
    clean, size = clips(folder), _SIZES[network]
    weights = dnsmos.load(network)
    judge, further = judges()
    if network == "overall":
        further["p808"] = functools.partial(_held_out, dnsmos.load("p808"))
    return Task(
        target=bind(
            _target, weights, jnp.asarray(clean), jnp.asarray(snr), network=network
        ),
        judge=judge,
        context={"clean": clean, "clip": np.arange(len(clean))},
        facts={
            "concept": "speech that people would rate as good",
            "clips": f"{len(clean)} of 3.2 s, "
            + (f"from {folder}" if folder else "synthetic (eSpeak NG)"),
            "proxy": functools.partial(_proxy_fact, network, weights, clean),
            "judge": functools.partial(_judge_fact, clean),
        },
        render=_spectrograms,
        export=_export,
        attacks={
            "best_of_n": {"most": size["most"], "slots": size["slots"]},
            "gradient_ascent": {
                "learning_rate": radius / 5, "radius": radius,
                "steps": size["steps"], "slots": size["slots"],
            },
        },
        settings={
            "seeds": seeds, "keep": 2, "draws": size["draws"], "judged": 100,
            "table": False, "points": size["points"],
        },
        judges=further,
    )  # fmt: skip


def _target(weights, voices, snr, context, *, network) -> Target:
    """One clip among the other voices, as loud as the ratio (decibels) allows."""
    others = jnp.arange(len(voices)) != context["clip"]
    prior = product(
        snr=box((), snr[0], snr[1]), start=box(len(voices)), volume=box(len(voices))
    )
    mix = bind(_mix, voices, context["clean"], others)
    base = latent(mix, prior, project=_legal)
    return Target(bind(_NETWORKS[network], weights), base)


def _mix(voices, clean, others, parts):
    """Add babble: every other clip from a random start, at a random volume."""
    samples = len(clean)
    start = jnp.floor(parts["start"] * samples).astype(int)
    volume = parts["volume"] * others[None]
    endless = jnp.concatenate([voices, voices], axis=1)

    def add(babble, voice):
        wave, start, volume = voice
        heard = jax.vmap(lambda s: jax.lax.dynamic_slice(wave, (s,), (samples,)))(start)
        return babble + volume[:, None] * heard, None

    silence = jnp.zeros((len(start), samples))
    babble, _ = jax.lax.scan(add, silence, (endless, start.T, volume.T))
    loud = jnp.sqrt((clean**2).mean() / jnp.maximum((babble**2).mean(axis=1), 1e-12))
    gain = loud * 10 ** (-parts["snr"] / 20)
    return _legal(clean[None] + gain[:, None] * babble)


def _legal(x):
    return jnp.clip(x, -1.0, 1.0)


def _held_out(weights, x, context):
    return np.asarray(jax.jit(dnsmos.p808)(weights, jnp.asarray(x)))


def _proxy_fact(network, weights, clean) -> str:
    score = np.asarray(jax.jit(_NETWORKS[network])(weights, jnp.asarray(clean)))
    return (
        f"DNSMOS, {network}, of speechmos; it gives the clean clips {score.mean():.2f} "
        f"of 5 on average ({score.min():.2f} to {score.max():.2f})"
    )


def _judge_fact(clean) -> str:
    noise = 0.01 * np.random.default_rng(0).standard_normal(clean.shape)
    noisy = pesq((clean + noise).astype(np.float32), {"clean": clean})
    return (
        "PESQ beside the clean original, which itself would get 4.64; with white noise "
        f"of standard deviation 0.01 it gives {noisy.mean():.2f}"
    )


def _spectrograms(x) -> np.ndarray:
    """Spectrograms `[N, 80, 160]`: time to the right, 0 to 8 kHz upwards.

    From white, -45 decibels, to black, +30: about the loudest that clean speech gets.
    """
    frames = np.lib.stride_tricks.sliding_window_view(np.asarray(x), 320, axis=1)
    power = np.abs(np.fft.rfft(frames[:, ::318] * np.hanning(320))) ** 2
    power = power[:, :160, :160].reshape(len(power), -1, 80, 2).mean(axis=3)
    decibel = 10 * np.log10(np.maximum(power, 1e-12))
    return np.clip((decibel.swapaxes(1, 2)[:, ::-1] + 45) / 75, 0.0, 1.0)


def _export(folder: Path, label: str, x) -> None:
    """Write one WAV file per input."""
    from scipy.io import wavfile

    for i, wave in enumerate(np.asarray(x)):
        pcm = np.round(np.clip(wave, -1, 1) * 32767).astype(np.int16)
        wavfile.write(Path(folder) / f"{label}-{i}.wav", RATE, pcm)
