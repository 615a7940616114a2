"""The same attack on another target: a few features in reach, or the judge itself."""

import jax
import jax.numpy as jnp
import numpy as np

from robust.base import Base
from robust.bind import bind
from robust.target import PerSeed, Target, as_pytree


def restrict(target, handle):
    """Let an attack change only one group of input features, the handle.

    Inputs become pairs (start, x): where the attack began, and where it is. Only the
    handle's features of x count; `merged` gives the inputs that were scored. It is
    for attacks that search inputs from a start. One that selects whole inputs, such
    as best-of-n or splitting, would select among starts as well.

    Args:
      target: a `Target`, a `PerSeed`, or a function of one prompt.
      handle: pytree as one input, without a leading axis: True where a feature may
        be changed.

    Returns:
      a target of the same kind, whose base neither moves nor has a log_prob.

    Reference: causal Goodhart by intervention, after Manheim & Garrabrant 2018,
    arXiv:1803.04585.
    """
    if isinstance(target, PerSeed):
        return target._replace(bind=bind(_then_restrict, bind(target.bind), handle))
    if not isinstance(target, Target):
        return bind(_then_restrict, bind(target), handle)
    target = as_pytree(target)
    base = Base(bind(_sample, target.base), project=bind(_project, target.base.project))
    return Target(bind(_score, target.proxy, handle), base)


def on_oracle(target, oracle):
    """Put the judge in the proxy's place, for what attacking it would give.

    Args:
      target: a `Target`, a `PerSeed`, or a function of one prompt.
      oracle: the judge as a JAX function, `x -> [num]`; with prompts `(x, prompt) ->
        [num]`.
    """
    if isinstance(target, PerSeed):
        return target._replace(bind=bind(_then_judge, bind(target.bind), bind(oracle)))
    if not isinstance(target, Target):
        return bind(_of_prompt, bind(target), bind(oracle))
    return target._replace(proxy=bind(oracle))


def merged(pair, handle):
    """The inputs that a restricted attack made, on the host: `(start, x)` to x.

    Leaves may have any number of leading axes.
    """
    return jax.tree.map(
        lambda may, start, x: np.where(may, x, start), handle, *map(_host, pair)
    )


def _host(tree):
    return jax.tree.map(np.asarray, tree)


def _then_restrict(target, handle, argument):
    return restrict(target(argument), handle)


def _then_judge(make, oracle, params):
    return on_oracle(make(params), oracle)


def _of_prompt(make, oracle, prompt):
    return make(prompt)._replace(proxy=bind(_asked, prompt, oracle))


def _asked(prompt, oracle, x):
    num = len(jax.tree.leaves(x)[0])
    repeated = jax.tree.map(
        lambda a: jnp.broadcast_to(jnp.asarray(a)[None], (num, *jnp.shape(a))), prompt
    )
    return oracle(x, repeated)


def _sample(base, key, num):
    x = base.decode(base.sample(key, num))
    return x, x


def _project(project, pair):
    start, x = pair
    return start, project(x)


def _score(proxy, handle, pair):
    start, x = pair

    def pick(may, start, x):
        return jnp.where(jnp.broadcast_to(may, x.shape), x, start)

    return proxy(jax.tree.map(pick, handle, jax.lax.stop_gradient(start), x))
