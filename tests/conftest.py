"""Strict arrays, and figures that need no screen."""

import os

os.environ["MPLBACKEND"] = "Agg"

import jax

jax.config.update("jax_numpy_rank_promotion", "raise")
