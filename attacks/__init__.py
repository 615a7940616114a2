"""Attacks: optimizers that maximise a proxy. One per file, found by entry point."""

from attacks.annealing import annealing
from attacks.beam import beam
from attacks.best_of_n import best_of_n
from attacks.evolution import evolution
from attacks.genetic import genetic
from attacks.gradient_ascent import gradient_ascent
from attacks.langevin import langevin
from attacks.policy_gradient import policy_gradient
from attacks.quantilizer import quantilizer
from attacks.splitting import splitting
from attacks.square import square
from attacks.tempering import tempering
from attacks.token_search import token_search
from attacks.worst_case import worst_case

__all__ = [
    "annealing",
    "beam",
    "best_of_n",
    "evolution",
    "genetic",
    "gradient_ascent",
    "langevin",
    "policy_gradient",
    "quantilizer",
    "splitting",
    "square",
    "tempering",
    "token_search",
    "worst_case",
]
