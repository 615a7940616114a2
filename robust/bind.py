"""Bind weights and options to a function so that JAX traces the former only."""

import functools
from collections.abc import Callable

import jax


@functools.cache
def _with_options(function: Callable, **options) -> Callable:
    return functools.partial(function, **options)


def bind(function: Callable, *leading, **options) -> jax.tree_util.Partial:
    """Bind leading arguments as traced leaves and keyword options as static.

    The result is a pytree, so it can be an argument of a jitted function: other
    arrays of the same shapes in `leading` cost no recompile; other `options` do.

    Args:
      function: called as `function(*leading, *args, **options)`. Define it once,
        at module level: a new lambda is a new program.
      *leading: pytrees, for instance the weights of a network.
      **options: hashable values that shape the program.

    Raises:
      TypeError: `function` is not callable, or an option is not hashable.
    """
    if not callable(function):
        raise TypeError(f"bind got {function!r}; pass a function as first argument")
    if isinstance(function, jax.tree_util.Partial):
        # Bound twice: what was bound first stays traced, and does not enter the name.
        inner = bind(function.func, **options)
        traced = (*function.args, *leading)
        return jax.tree_util.Partial(inner.func, *traced, **function.keywords)
    if options:
        function = _with_options(function, **options)
    return jax.tree_util.Partial(function, *leading)
