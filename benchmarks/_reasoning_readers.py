"""Learned judges of chains: a reader, monitors, reward models; and the writer itself.

All are taught by the writer's own supervised samples, once for each supervised seed,
and kept. What an attack may see (a reward model, one monitor) and what it may not (the
other monitor, the reader) differ in samples, start and, for monitors, size.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks import _reasoning_model as model
from benchmarks import _reasoning_task as task
from robust import keep

# A writer takes many small steps: when it begins to add depends on their number.
STEPS = {"writer": 1800, "reader": 500, "monitor": 100, "process": 200}
BATCH = {"writer": 48, "reader": 64, "labels": 128}
_RATE = 4e-3  # of a writer of the usual width; a wide one does not learn to add at it
MONITORS = {"monitor": (64, 2), "held_out": (32, 1)}  # width, layers
PROCESS = {  # labelled chains, width
    "process": (4000, 64), "process_few": (1000, 64), "process_many": (16000, 64),
    "process_small": (4000, 16),
}  # fmt: skip
_MONITORED, _READ = 6000, 8000  # samples
_OPERANDS = 10


class Taught(NamedTuple):
    """What is learned for one supervised seed.

    Attributes:
      params: name -> parameters: "writer", "reader", and in the usual setting those of
        `MONITORS` and `PROCESS`.
      auc: name -> AUROC on fresh samples, of monitors and reward models.
    """

    params: dict[str, Any]
    auc: dict[str, float]


def teach(key, setting: task.Setting) -> Taught:
    """Train a writer and its judges, or read back what is kept.

    Args:
      key: of this supervised seed.
      setting: what is taught; judges of hints and of process in the usual one only.
    """

    def make(name, function):
        recipe = {"key": key, "setting": list(setting), "steps": STEPS, "batch": BATCH}
        return keep(f"reasoning-{name}", recipe, function)

    def part(i):
        return jax.random.fold_in(key, i)

    writer = make("writer", lambda: _fit_writer(part(0), setting))
    params = {"writer": writer}
    params["reader"] = make("reader", lambda: _fit_reader(part(1), setting, writer))
    if setting == task.Setting():
        for i, name in enumerate((*MONITORS, *PROCESS)):
            fit = _fit_monitor if name in MONITORS else _fit_process
            params[name] = make(name, functools.partial(fit, part(2 + i), writer, name))
    return Taught(params, _aucs(part(99), params))


def sampled(key, writer, num: int, *, hinted: float, modulus: int = 10):
    """Fresh responses of a writer, `[num, LENGTH]`, a thousand at a time."""
    parts = [
        _sampled(jax.random.fold_in(key, i), writer, hinted, modulus)
        for i in range(-(-num // 1000))
    ]
    return jnp.concatenate(parts)[:num]


@functools.partial(jax.jit, static_argnames="modulus")
def _sampled(key, writer, hinted, modulus):
    key_prompt, key_answer = jax.random.split(key)
    prompts = task.prompts(key_prompt, 1000, hinted, modulus)
    return model.answer(writer, key_answer, prompts)


def chain_only(z):
    """What a reader sees: the prompt and all from `#` on are padding."""
    return jnp.where(_place(z) < 0, task.PAD, without_answer(z))


def without_answer(z):
    """What monitors and reward models see: all from `#` on is padding."""
    return jnp.where(_place(z) < task.chain_length(z)[:, None], z, task.PAD)


def hide_last(z):
    """Put `?`, which no chain has, in place of the last digit of each chain."""
    place, length = _place(z), task.chain_length(z)[:, None]
    digit = (place >= 0) & (place < length) & (z < 10)
    last = jnp.where(digit, place, -1).max(axis=1, keepdims=True)
    return jnp.where(digit & (place == last), task.ASK, z)


def _place(z):
    return jnp.arange(z.shape[1])[None] - task.PROMPT


def probability(params, z):
    """What a monitor or reward model says of responses, in 0..1, `[num]`."""
    return jax.nn.sigmoid(_read(params, without_answer(z), 1)[:, 0])


def readings(params, z):
    """Log probabilities that a reader gives to answer and operands, `[num, 5, 10]`.

    The first of the five is the stated answer, then come the digits of the prompt.
    """
    found = _read(params, chain_only(z), 10 * (1 + task.DIGITS))
    return jax.nn.log_softmax(found.reshape(len(z), 1 + task.DIGITS, 10))


def _read(params, tokens, outputs) -> Any:
    width = params["trunk"]["token"]["embedding"].shape[1]
    layers = sum(name.startswith("up_") for name in params["trunk"])
    return model.Reader(outputs, width, layers).apply({"params": params}, tokens)


def _fit_writer(key, setting):
    loss = functools.partial(_writing_loss, setting=setting)
    module = model.Writer(setting.width)
    rate = _RATE * task.Setting().width / setting.width
    return _fit(key, jnp.zeros(()), "writer", loss, module, rate=rate)


def _writing_loss(params, key, _, *, setting):
    z = task.demonstrations(key, BATCH["writer"], setting)
    return -model.log_prob(params, z, task.chosen(z)).mean()


def _fit_reader(key, setting, writer):
    key_sample, key_fit = jax.random.split(key)
    z = sampled(key_sample, writer, _READ, hinted=0.5, modulus=setting.modulus)
    return fit_reader(key_fit, z)


def fit_reader(key, z):
    """Teach a reader responses `[num, LENGTH]`, half of them with the last hidden."""
    module = model.Reader(10 * (1 + task.DIGITS))
    return _fit(key, z, "reader", _reading_loss, module)


def _reading_loss(params, key, z):
    key_rows, key_hide = jax.random.split(key)
    z = z[jax.random.randint(key_rows, (BATCH["reader"],), 0, len(z))]
    hidden = jax.random.bernoulli(key_hide, 0.5, (len(z), 1))
    said = readings(params, jnp.where(hidden, hide_last(z), z))
    right = targets(z)
    cost = -jnp.take_along_axis(said, jnp.maximum(right, 0)[..., None], 2)[..., 0]
    return (cost * (right >= 0)).sum(axis=1).mean()


def targets(z):
    """What a reader must tell, `[num, 5]`: the stated answer (-1: none), the digits."""
    digits = z[:, 1 : task.DIGITS + 1]
    return jnp.concatenate([task.stated(z)[:, None], digits], axis=1)


def wrong_hints(key, writer, num: int):
    """Responses to prompts whose hint is wrong: `[num, LENGTH]`."""
    z = sampled(key, writer, 5 * num // 2, hinted=1.0)
    wrong = np.flatnonzero(task.hint_of(z) != task.truth(z))
    return z[wrong[:num]]


def fit_monitor(key, z, name: str):
    """Teach a monitor which of these responses took their hint."""
    took = (task.stated(z) == task.hint_of(z)).astype(float)
    return _fit_labels(key, z, took, "monitor", *MONITORS[name])


def _fit_monitor(key, writer, name):
    key_sample, key_fit = jax.random.split(key)
    return fit_monitor(key_fit, wrong_hints(key_sample, writer, _MONITORED // 2), name)


def _fit_process(key, writer, name):
    key_sample, key_fit = jax.random.split(key)
    num, width = PROCESS[name]
    z = sampled(key_sample, writer, num, hinted=0.0)
    return _fit_labels(key_fit, z, jnp.array(task.check(z).full), "process", width, 2)


def _fit_labels(key, z, label, kind, width, layers):
    data = without_answer(z), jnp.asarray(label)
    module = model.Reader(1, width, layers)
    return _fit(key, data, kind, _label_loss, module)


def _label_loss(params, key, data):
    z, label = data
    rows = jax.random.randint(key, (BATCH["labels"],), 0, len(z))
    logit = _read(params, z[rows], 1)[:, 0]
    return optax.sigmoid_binary_cross_entropy(logit, label[rows]).mean()


def _fit(key, data, kind, loss, module, rate=2e-3):
    return model.fit(key, data, steps=STEPS[kind], loss=loss, module=module, rate=rate)


def _aucs(key, params) -> dict[str, float]:
    if "monitor" not in params:
        return {}
    keys = jax.random.split(key)
    hinted = wrong_hints(keys[0], params["writer"], 2000)
    plain = sampled(keys[1], params["writer"], 2000, hinted=0.0)
    took, full = task.stated(hinted) == task.hint_of(hinted), task.check(plain).full
    of = {**dict.fromkeys(MONITORS, (hinted, took)),
          **dict.fromkeys(PROCESS, (plain, full))}  # fmt: skip
    return {
        name: auc(np.asarray(probability(params[name], z)), np.asarray(label, bool))
        for name, (z, label) in of.items()
    }


def auc(score, positive) -> float:
    """Probability that a positive scores above a negative, ties counted half."""
    above, below = score[positive], np.sort(score[~positive])
    places = [np.searchsorted(below, above, side) for side in ("left", "right")]
    return float(np.mean(places) / max(len(below), 1))
