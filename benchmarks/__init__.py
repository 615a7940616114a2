"""Tasks: learned human concepts with an independent judge. One per file."""

from benchmarks.digits import digits, digits_classifiers

__all__ = ["digits", "digits_classifiers"]
