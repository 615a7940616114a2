"""The contract of attacks, as checks that a plug-in's own tests can import."""

from robust.contract.checks import CHECKS
from robust.contract.harness import Row
from robust.contract.targets import PLACES, Place, Tally, aim

__all__ = ["CHECKS", "PLACES", "Place", "Row", "Tally", "aim"]
