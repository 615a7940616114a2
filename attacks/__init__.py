"""Attacks: optimizers that maximise a proxy. One per file, found by entry point."""

from attacks.best_of_n import best_of_n
from attacks.gradient_ascent import gradient_ascent
from attacks.splitting import splitting

__all__ = ["best_of_n", "gradient_ascent", "splitting"]
