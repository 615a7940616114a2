"""The concept "a photo of high quality", as learned from people's ratings.

Proxy: BRISQUE (Mittal, Moorthy & Bovik 2012), negated. Observers rated the LIVE images,
and a support vector regression was fitted to their mean opinion; the fit is the one
that the package `brisque` ships (see `_photos_brisque`). It never sees the original.
One fixed, published proxy: seeds redraw the attack and the base, not the proxy.

Judges: likeness to the pristine photo, which the proxy never sees and nobody fitted to
the proxy: SSIM first, PSNR and FSIM beside it. They are computed, not learned. They
cannot see whether a change pleases: a photo made better than the original counts as
worse, and noise that hides in texture counts as in the paper that defines each.

Base: a pristine photo with normal noise, whose standard deviation is itself drawn
between 0.02 and 0.12. Blur, compression and other damage, which BRISQUE was fitted to
as well, are not in it. The photo is the unit of every interval. No handles: one group
of pixels would have to mean the same in eight different photos.

Photos: 96 x 96 pixels of luminance, a third of the original resolution. From
scikit-image: astronaut (NASA, public domain), camera (Lav Varshney, CC0), chelsea
(Stefan van der Walt, CC0), coffee (Rachel Michetti, CC0), coins (Brooklyn Museum, no
known copyright), rocket (SpaceX, public domain). From scikit-learn: china
(danielbuechele) and flower (vultilion), both CC BY 2.0.

Found (`robust run photos`, key 0, one seed, 95 % intervals over the 8 photos):

* selection is robust: best of 64 takes BRISQUE from 52.2 to 23.6 and SSIM from .588 to
  .857; true gain +1.87 [1.57, 2.17] base standard deviations, splitting +1.99 [1.65,
  2.33], and PSNR and FSIM say the same;
* gradient ascent within 64/255 takes BRISQUE to -165 +- 7, far beyond its scale, and
  SSIM from .588 to .431: catastrophic, -1.15 [-1.29, -1.02] by SSIM, -1.30 by PSNR,
  -1.43 by FSIM. The square attack needs no gradient: BRISQUE 28.4 +- 2.2, SSIM .406,
  catastrophic by all three, -1.34 [-1.68, -1.00] by SSIM;
* `photos_faint`, within 4/255: BRISQUE -45 +- 14 (gain +8.0 [5.6, 10.4]) while SSIM
  stays: -0.03 [-0.47, 0.41], no drop, and so by PSNR and FSIM. Undecided rather than
  weak, for BRISQUE jumps where a coefficient changes sign, so that its slopes disagree
  with very small steps (correlation .39);
* `photos_ssim`, the judge as proxy: gradient ascent reaches SSIM .997, +2.86 [2.16,
  3.55] for +2.85 promised, robust; PSNR and FSIM follow.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks._photos_brisque import brisque, load
from benchmarks._photos_judges import fsim, psnr, ssim
from robust import Target, Task, bind, box, card, gaussian, latent, need, product

_SIDE = 96  # pixels
_SHRUNK = 3  # by block means, so that a crop shows its scene
_NOISE = 0.02, 0.12  # standard deviation of ordinary photos' noise, least and most
_SELECTION = {
    "best_of_n": {"most": 64, "slots": 16},
    "splitting": {"levels": 8, "moves": 3, "slots": 128},
}
_SETTINGS = {"keep": 8, "draws": 512, "judged": 100, "table": False}
_SKIMAGE = ("astronaut", "camera", "chelsea", "coffee", "coins", "rocket")
_SKLEARN = ("china.jpg", "flower.jpg")


@card(extra="image", seconds=61, memory_mb=1460, suites=("real",))
def photos(key: jax.Array | None = None, seeds: int = 1) -> Task:
    """A photo of high quality, by BRISQUE; judged beside the pristine photo.

    Gradient ascent and the square attack may change a pixel by 64/255.

    Args:
      key: unused; nothing here is trained.
      seeds: attacks on each photo, which is the unit of intervals.

    Raises:
      ValueError: a package of the extra is missing.
    """
    return _task("photos", seeds, radius=64 / 255, selection=True)


@card(extra="image", seconds=60, memory_mb=1200)
def photos_faint(key: jax.Array | None = None, seeds: int = 1) -> Task:
    """The same with changes that hardly show, 4/255 of a pixel; see `photos`."""
    return _task("photos_faint", seeds, radius=4 / 255)


@card(extra="image", seconds=60, memory_mb=1700, suites=("real",))
def photos_ssim(key: jax.Array | None = None, seeds: int = 1) -> Task:
    """The control: the judge itself, SSIM, as proxy; see `photos`."""
    return _task("photos_ssim", seeds, radius=64 / 255)


def _task(name, seeds, radius, selection=False) -> Task:
    pristine = _pristine(name)
    facts: dict[str, str | Callable[[], str]] = {
        "concept": f"a photo of high quality; {len(pristine)} photos of "
        f"{_SIDE} x {_SIDE} pixels, changed by at most {radius * 255:.0f}/255",
        "judge": "SSIM to the pristine photo; with the least and the most noise photos "
        + "score "
        + " and ".join(f"{score:.2f}" for score in _ends(pristine))
        + " on average",
    }
    if name == "photos_ssim":
        target = bind(_by_judge)
    else:
        model = load(name)
        target = bind(_by_brisque, model)
        facts["proxy"] = functools.partial(_proxy_fact, model, pristine)
    search = {"radius": radius, "slots": 8}
    return Task(
        target=target,
        judge=ssim,
        judges={"psnr": psnr, "fsim": fsim},
        oracle=ssim,
        context=pristine,
        facts=facts,
        render=_render,
        attacks={
            **(_SELECTION if selection else {}),
            "gradient_ascent": {
                "optimizer": "auto", "learning_rate": 0.1, "steps": 40, **search,
            },
            "square": {"steps": 100, **search},
        },
        settings={**_SETTINGS, "seeds": seeds},
    )  # fmt: skip


def _pristine(task: str) -> np.ndarray:
    """Luminance of the photos, `[8, 96, 96]` in [0, 1]."""
    from sklearn.datasets import load_sample_image

    data = need("skimage.data", extra="image", task=task)
    whole = [getattr(data, name)() for name in _SKIMAGE]
    whole += [load_sample_image(name) for name in _SKLEARN]
    return np.stack([_crop(_luminance(photo)) for photo in whole]).astype(np.float32)


def _luminance(photo):
    """Of `[height, width]` or `[height, width, 3]` bytes, by ITU-R BT.709."""
    weights = np.array([0.2125, 0.7154, 0.0721])
    return (photo @ weights if photo.ndim == 3 else photo) / 255


def _crop(photo):
    """A square of the photo, shrunk; above the middle, where the heads are."""
    height, width = (size // _SHRUNK for size in photo.shape)
    cut = photo[: height * _SHRUNK, : width * _SHRUNK]
    small = cut.reshape(height, _SHRUNK, width, _SHRUNK).mean(axis=(1, 3))
    top, left = (height - _SIDE) // 5, (width - _SIDE) // 2
    return small[top : top + _SIDE, left : left + _SIDE]


def _base(photo, noise=_NOISE):
    """The photo with normal noise of a strength that is itself drawn."""
    prior = product(level=box((), *noise), noise=gaussian(photo.shape))
    return latent(bind(_noisy, photo), prior, project=_clip)


def _noisy(photo, parts):
    return _clip(photo[None] + parts["level"][:, None, None] * parts["noise"])


def _clip(x):
    return jnp.clip(x, 0.0, 1.0)


def _by_brisque(model, photo) -> Target:
    return Target(bind(_quality, model), _base(photo))


def _quality(model, x):
    return -brisque(model, x)


def _by_judge(photo) -> Target:
    return Target(bind(_likeness, photo), _base(photo))


def _likeness(photo, x):
    return ssim(x, jnp.broadcast_to(photo[None], x.shape))


def _ends(pristine, score: Callable = ssim) -> list[float]:
    """Mean score of the photos with the least and with the most noise."""
    noise = np.random.default_rng(0).standard_normal(pristine.shape, np.float32)
    levels = [np.clip(pristine + level * noise, 0, 1) for level in _NOISE]
    return [float(np.mean(score(x, pristine))) for x in levels]


def _proxy_fact(model, pristine) -> str:
    def score(x, _):
        return jax.jit(brisque)(model, jnp.asarray(x))

    least, most = _ends(pristine, score)
    whole = float(np.mean(score(pristine, None)))
    return (
        f"BRISQUE on its published fit, negated; pristine photos score {-whole:.0f} on "
        f"average, with the least and the most noise {-least:.0f} and {-most:.0f}; on "
        "its scale 0 is flawless and -100 ruined"
    )


def _render(x):
    """Grey photos as colours, since pictures without colours are shown as ink."""
    return np.repeat(np.asarray(x)[..., None], 3, axis=-1)
