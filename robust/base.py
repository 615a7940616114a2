"""What ordinary inputs look like: the reference distribution that attacks leave."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from robust.bind import bind


class Policy(NamedTuple):
    """A base that can be tuned.

    Attributes:
      params: pytree of parameters; at these values the policy is the base.
      sample: `(params, key, num) -> z`, leaves `[num, ...]`.
      log_prob: `(params, z) -> [num]`, nats.
      kl: `(params, base's params, z) -> [num]`, nats: what has the mean
        KL(policy ‖ base) over z drawn from the policy, with less noise than a log
        ratio; such as, for sequences, the sum along each of the KL between
        next-token distributions. None: unknown.
    """

    params: Any
    sample: Callable
    log_prob: Callable
    kl: Callable | None = None


def _identity(z):
    return z


def _row(values, shape):
    """Broadcast to one input with a candidate axis, as strict promotion asks."""
    return jnp.broadcast_to(jnp.asarray(values, float), (1, *shape))


class Base(NamedTuple):
    """The reference distribution p0 over inputs, in terms of latents z.

    Latents and inputs are pytrees of arrays with a leading candidate axis.

    Attributes:
      sample: `(key, num) -> z`, independent draws, leaves `[num, ...]`.
      decode: `z -> x`, the input that a latent stands for. Default: z itself.
      move: `(key, z, scale) -> z`, a reversible kernel that leaves p0 invariant;
        `scale` lies in (0, 1] and 1 is a fresh draw. None: no such kernel is known.
      project: `x -> x`, the nearest legal input. Default: every input is legal.
      log_prob: `z -> [num]`, nats. None: unknown.
      policy: the same distribution as a tunable policy, or None.
    """

    sample: Callable
    decode: Callable = _identity
    move: Callable | None = None
    project: Callable = _identity
    log_prob: Callable | None = None
    policy: Policy | None = None


def gaussian(shape: tuple[int, ...] | int, mean=0.0, std=1.0) -> Base:
    """Independent normal coordinates, moved by preconditioned Crank-Nicolson.

    Args:
      shape: shape of one input.
      mean, std: arrays that broadcast to `shape`.

    Reference: Cotter et al. 2013, arXiv:1202.0709 (the pCN proposal).
    """
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    mean, std = _row(mean, shape), _row(std, shape)
    return Base(
        sample=bind(_gaussian_sample, mean, std, shape=shape),
        move=bind(_gaussian_move, mean, std),
        log_prob=bind(_gaussian_log_prob, mean, std),
    )


def _gaussian_sample(mean, std, key, num, *, shape):
    return mean + std * jax.random.normal(key, (num, *shape))


def _gaussian_move(mean, std, key, z, scale):
    noise = jax.random.normal(key, z.shape)
    return mean + jnp.sqrt(1 - scale**2) * (z - mean) + scale * std * noise


def _gaussian_log_prob(mean, std, z):
    density = jax.scipy.stats.norm.logpdf(z, mean, std)
    return density.sum(axis=tuple(range(1, z.ndim)))


def box(shape: tuple[int, ...] | int, low=0.0, high=1.0) -> Base:
    """Uniform inputs in a box, moved by a random walk that reflects at the walls.

    Args:
      shape: shape of one input.
      low, high: arrays that broadcast to `shape`.
    """
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    low, high = _row(low, shape), _row(high, shape)
    return Base(
        sample=bind(_box_sample, low, high, shape=shape),
        move=bind(_box_move, low, high),
        project=bind(_box_project, low, high),
        log_prob=bind(_box_log_prob, low, high),
    )


def _box_sample(low, high, key, num, *, shape):
    return low + (high - low) * jax.random.uniform(key, (num, *shape))


def _box_move(low, high, key, z, scale):
    # Folding an interval of twice the box's width covers the box evenly, so a
    # step of scale 1 is a fresh draw.
    width = high - low
    step = scale * jax.random.uniform(key, z.shape, minval=-1.0, maxval=1.0)
    unfolded = jnp.mod((z - low) / width + step, 2.0)
    return low + width * (1 - jnp.abs(1 - unfolded))


def _box_project(low, high, x):
    return jnp.clip(x, low, high)


def _box_log_prob(low, high, z):
    inside = (z >= low) & (z <= high)
    density = jnp.where(inside, -jnp.log(high - low), -jnp.inf)
    return density.sum(axis=tuple(range(1, z.ndim)))


def tokens(length: int, vocabulary: int, logits=None) -> Base:
    """Sequences of independent tokens, moved by resampling a random share of sites.

    Args:
      length: number of sites; inputs are int32 `[num, length]`.
      vocabulary: number of tokens.
      logits: `[vocabulary]` or `[length, vocabulary]`; default uniform. -inf makes
        a token illegal there; `project` puts the site's likeliest in its place.
    """
    logits = jnp.zeros(vocabulary) if logits is None else jnp.asarray(logits, float)
    logits = jnp.broadcast_to(logits, (length, vocabulary))
    return Base(
        sample=bind(_tokens_sample, logits),
        move=bind(_tokens_move, logits),
        project=bind(_tokens_project, logits),
        log_prob=bind(_tokens_log_prob, logits),
    )


def _tokens_sample(logits, key, num):
    # By inverse distribution: Gumbel noise for every token of a large vocabulary
    # would cost more than any proxy.
    share = jax.nn.softmax(logits)
    below = jnp.cumsum(share, axis=1)[:, :-1]
    uniform = jax.random.uniform(key, (num, logits.shape[0]))
    # Rounding in the sum must not draw a token that the base forbids.
    held = share > 0
    index = jnp.where(held, jnp.arange(held.shape[1])[None], held.argmax(1)[:, None])
    legal = jax.lax.cummax(index, axis=1)

    def draw(below, legal, uniform):
        return legal[jnp.searchsorted(below, uniform, side="right")]

    return jax.vmap(draw, (0, 0, 1), 1)(below, legal, uniform).astype(jnp.int32)


def _tokens_move(logits, key, z, scale):
    key_site, key_token = jax.random.split(key)
    redraw = jax.random.uniform(key_site, z.shape) < scale
    return jnp.where(redraw, _tokens_sample(logits, key_token, len(z)), z)


def _tokens_project(logits, x):
    x = jnp.clip(x, 0, logits.shape[1] - 1)
    site = jnp.arange(logits.shape[0])
    legal = logits[site, x] > -jnp.inf
    return jnp.where(legal, x, logits.argmax(axis=1)[None]).astype(x.dtype)


def _tokens_log_prob(logits, z):
    table = jax.nn.log_softmax(logits)
    return table[jnp.arange(table.shape[0]), z].sum(axis=1)


def pool(items) -> Base:
    """Draw with replacement from a finite pool; a move is a fresh draw.

    Latents are indices, so splitting resolves pressure only to about ln N nats.

    Args:
      items: pytree of arrays `[N, ...]`.
    """
    items = jax.tree.map(jnp.asarray, items)
    size = len(jax.tree.leaves(items)[0])
    return Base(
        sample=bind(_pool_sample, size=size),
        decode=bind(_pool_decode, items),
        move=bind(_pool_move, size=size),
        log_prob=bind(_pool_log_prob, size=size),
    )


def _pool_sample(key, num, *, size):
    return jax.random.randint(key, (num,), 0, size)


def _pool_decode(items, z):
    return jax.tree.map(lambda leaf: leaf[z], items)


def _pool_move(key, z, scale, *, size):
    return _pool_sample(key, len(z), size=size)


def _pool_log_prob(z, *, size):
    return jnp.full(z.shape, -jnp.log(size))


def product(**parts: Base) -> Base:
    """Join independent bases; latents and inputs are dicts with the given names.

    A part without `move` or `log_prob` leaves the product without it.
    """
    parts = dict(sorted(parts.items()))  # the order in which jit hands them back
    known = {
        field: all(getattr(part, field) is not None for part in parts.values())
        for field in ("move", "log_prob")
    }
    return Base(
        sample=bind(_product_sample, parts),
        decode=bind(_product_decode, parts),
        move=bind(_product_move, parts) if known["move"] else None,
        project=bind(_product_project, parts),
        log_prob=bind(_product_log_prob, parts) if known["log_prob"] else None,
    )


def _product_sample(parts, key, num):
    keys = jax.random.split(key, len(parts))
    named = zip(keys, parts.items(), strict=True)
    return {name: part.sample(k, num) for k, (name, part) in named}


def _product_decode(parts, z):
    return {name: part.decode(z[name]) for name, part in parts.items()}


def _product_move(parts, key, z, scale):
    keys = jax.random.split(key, len(parts))
    named = zip(keys, parts.items(), strict=True)
    return {name: part.move(k, z[name], scale) for k, (name, part) in named}


def _product_project(parts, x):
    return {name: part.project(x[name]) for name, part in parts.items()}


def _product_log_prob(parts, z):
    return sum(part.log_prob(z[name]) for name, part in parts.items())


def latent(decode: Callable, prior: Base, project: Callable = _identity) -> Base:
    """Push a prior through a generator: inputs are `decode(prior input)`.

    Args:
      decode: `prior input -> x`.
      prior: a base for the generator's input, for instance `gaussian(dim)`.
      project: `x -> x`, the nearest legal input.
    """
    inner, outer = bind(prior.decode), bind(decode)
    return prior._replace(
        decode=bind(_compose, outer, inner), project=bind(project), policy=None
    )


def _compose(outer, inner, z):
    return outer(inner(z))


def tunable(policy: Policy, move: Callable | None = None) -> Base:
    """Make a base of a policy, whose density is the policy's own."""
    sample, log_prob = bind(policy.sample), bind(policy.log_prob)
    return Base(
        sample=bind(sample, policy.params),
        move=move,
        log_prob=bind(log_prob, policy.params),
        policy=policy._replace(sample=sample, log_prob=log_prob),
    )
