"""Tasks: learned human concepts with an independent judge. One per file."""

from benchmarks.binding import binding, binding_proteins, binding_replicates
from benchmarks.control import control, control_truth
from benchmarks.digits import digits, digits_classifiers
from benchmarks.gridworld import gridworld
from benchmarks.heavy_tail import heavy_tail, light_tail
from benchmarks.overoptimization import overoptimization
from benchmarks.overoptimization_cell import overoptimization_cell
from benchmarks.photos import photos, photos_faint, photos_ssim
from benchmarks.raters import raters, raters_people
from benchmarks.reasoning import (
    reasoning,
    reasoning_answer,
    reasoning_monitor,
    reasoning_process,
)
from benchmarks.regressional import regressional
from benchmarks.speech import speech, speech_clean, speech_overall
from benchmarks.words import words, words_nonsense

__all__ = [
    "binding",
    "binding_proteins",
    "binding_replicates",
    "control",
    "control_truth",
    "digits",
    "digits_classifiers",
    "gridworld",
    "heavy_tail",
    "light_tail",
    "overoptimization",
    "overoptimization_cell",
    "photos",
    "photos_faint",
    "photos_ssim",
    "raters",
    "raters_people",
    "reasoning",
    "reasoning_answer",
    "reasoning_monitor",
    "reasoning_process",
    "regressional",
    "speech",
    "speech_clean",
    "speech_overall",
    "words",
    "words_nonsense",
]
