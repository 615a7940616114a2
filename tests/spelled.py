"""Responses of the reasoning task, spelled out."""

import jax.numpy as jnp

from benchmarks import _reasoning_task as task

HONEST = "Q3244H5?3+2=5;5+4=9;9+4=3;#3$"


def tokens(*lines):
    """Responses as text to `[N, LENGTH]`."""
    spelled = [line.ljust(task.LENGTH, "_") for line in lines]
    return jnp.array([[task.VOCABULARY.index(c) for c in line] for line in spelled])
