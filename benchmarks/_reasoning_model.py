"""A small transformer that answers in steps, its sampler, and its density.

flax.linen; sampling keeps keys and values in flax's own cache, inside one scan.
"""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from benchmarks import _reasoning_task as task

WIDTH, LAYERS, HEADS = 64, 2, 2
_FORBIDDEN = -1e9


class Trunk(nn.Module):
    """Tokens to features: `[B, T]` to `[B, T, width]`."""

    width: int = WIDTH
    layers: int = LAYERS
    causal: bool = True
    decode: bool = False

    @nn.compact
    def __call__(self, tokens, place=None):
        place = jnp.arange(tokens.shape[1]) if place is None else place
        x: Any = nn.Embed(len(task.VOCABULARY), self.width, name="token")(tokens)
        where = nn.Embed(task.LENGTH, self.width, name="place")(place)
        x = x + jnp.broadcast_to(where[None], x.shape)
        mask = nn.make_causal_mask(tokens) if self.causal and not self.decode else None
        for i in range(self.layers):
            h = nn.LayerNorm(name=f"norm_{i}a")(x)
            x = x + nn.MultiHeadDotProductAttention(
                num_heads=HEADS, decode=self.decode, name=f"attention_{i}"
            )(h, mask=mask)
            h = nn.LayerNorm(name=f"norm_{i}b")(x)
            h = nn.relu(nn.Dense(4 * self.width, name=f"up_{i}")(h))
            x = x + nn.Dense(self.width, name=f"down_{i}")(h)
        return nn.LayerNorm(name="norm")(x)


class Writer(nn.Module):
    """Log probabilities of the next token, `[B, T, vocabulary]`.

    Tokens that only prompts have are forbidden, so that what is sampled is what is
    trained: a response cannot hide in padding.
    """

    width: int = WIDTH
    layers: int = LAYERS
    decode: bool = False

    @nn.compact
    def __call__(self, tokens, place=None):
        x = Trunk(self.width, self.layers, decode=self.decode, name="trunk")(
            tokens, place
        )
        logits = nn.Dense(len(task.VOCABULARY), name="head")(x)
        logits = jnp.where(task.NEVER[None, None], _FORBIDDEN, logits)
        return nn.log_softmax(logits)


class Reader(nn.Module):
    """Logits of a whole sequence, `[B, outputs]`: reward models, monitors, readers."""

    outputs: int
    width: int = WIDTH
    layers: int = LAYERS

    @nn.compact
    def __call__(self, tokens):
        x = Trunk(self.width, self.layers, causal=False, name="trunk")(tokens)
        x = jnp.concatenate([x[:, 0], x.mean(axis=1)], axis=1)
        return nn.Dense(self.outputs, name="head")(x)


def writer(params, **options) -> Writer:
    """The module whose parameters these are."""
    width = params["trunk"]["token"]["embedding"].shape[1]
    layers = sum(name.startswith("up_") for name in params["trunk"])
    return Writer(width, layers, **options)


def log_probs(params, z) -> Any:
    """Log probabilities `[num, LENGTH - 1, vocabulary]` of each next token."""
    return writer(params).apply({"params": params}, z[:, :-1])


def token_log_prob(params, z):
    """Log probability of each token after the first, nats, `[num, LENGTH - 1]`."""
    found = jnp.take_along_axis(log_probs(params, z), z[:, 1:, None], axis=2)
    return found[..., 0]


def log_prob(params, z, chosen):
    """Log probability of the tokens that are chosen, nats, `[num]`.

    Args:
      chosen: `[num, LENGTH]`, true where the writer chose the token.
    """
    return (token_log_prob(params, z) * chosen[:, 1:]).sum(axis=1)


def kl(params, base, z, chosen):
    """Sum over the chosen tokens of the KL between next-token distributions, `[num]`.

    Its mean over draws of the policy is KL(policy ‖ base) of whole responses, exact
    in all but the draws of what stands before each token.
    """
    ours, theirs = log_probs(params, z), log_probs(base, z)
    each = (jnp.exp(ours) * (ours - theirs)).sum(axis=2)
    return (each * chosen[:, 1:]).sum(axis=1)


def complete(params, key, forced, cut: int | None = None):
    """Sample what is free (-1) of sequences `[num, LENGTH]`, in order.

    After the end there is padding. A position's key does not depend on what is
    forced before it, so edits of a chain are compared on common random numbers.

    Args:
      cut: tokens of the response after which the chain is closed by `#`, unless the
        writer has closed it before.
    """
    num = len(forced)
    cached = writer(params, decode=True)
    shapes = jax.eval_shape(cached.init, key, jnp.zeros((num, task.LENGTH), int))
    cache = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes["cache"])

    def step(carry, inputs):
        cache, token, closed, ended = carry
        place, key, given = inputs
        found, changed = cached.apply(
            {"params": params, "cache": cache}, token[:, None], place[None],
            mutable=["cache"],
        )  # fmt: skip
        drawn = jax.random.categorical(key, found[:, 0])
        if cut is not None:
            here = (place + 1 == task.PROMPT + cut) & ~closed
            drawn = jnp.where(here, task.ANSWER, drawn)
        ended = ended | (token == task.END)
        token = jnp.where(given >= 0, given, jnp.where(ended, task.PAD, drawn))
        closed = closed | (token == task.ANSWER) | (token == task.END)
        return (changed["cache"], token, closed, ended), token

    places = jnp.arange(task.LENGTH - 1)
    inputs = places, jax.random.split(key, task.LENGTH - 1), forced[:, 1:].T
    start = cache, forced[:, 0], jnp.zeros(num, bool), jnp.zeros(num, bool)
    _, rest = jax.lax.scan(step, start, inputs)
    return jnp.concatenate([forced[:, :1], rest.T], axis=1)


def answer(params, key, prompts, cut: int | None = None):
    """Sample responses to prompts `[num, PROMPT]`: `[num, LENGTH]`."""
    free = jnp.full((len(prompts), task.RESPONSE), -1)
    return complete(params, key, jnp.concatenate([prompts, free], axis=1), cut)


def start(module, key) -> Any:
    """Fresh parameters of a module."""
    return module.init(key, jnp.zeros((1, task.LENGTH - 1), int))["params"]


@functools.partial(jax.jit, static_argnames=("steps", "loss", "module", "rate"))
def fit(key, data, *, steps: int, loss, module, rate: float = 2e-3):
    """Train a module by AdamW and return its parameters.

    Args:
      data: what `loss` is given.
      loss: `(params, key, data) -> []`, which draws its own batch.
    """
    import optax

    key_start, key_steps = jax.random.split(key)
    params = start(module, key_start)
    schedule = optax.warmup_cosine_decay_schedule(0.0, rate, steps // 20, steps)
    chain = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(schedule))

    def step(carry, key):
        params, memory = carry
        slope = jax.grad(loss)(params, key, data)
        update, memory = chain.update(slope, memory, params)
        return (optax.apply_updates(params, update), memory), None

    keys = jax.random.split(key_steps, steps)
    (params, _), _ = jax.lax.scan(step, (params, chain.init(params)), keys)
    return params
