"""Experiments: questions that one task cannot answer, run and reported as a whole."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple


class Findings(NamedTuple):
    """What an experiment has to say; it is printed and becomes report.md.

    An experiment is a function `(folder, *, key, seeds, say) -> Findings`, found by the
    entry-point group `robust.experiments`. `folder` is a path that exists, into which
    it writes its pictures and data, and which may hold what an interrupted run of the
    same settings left there; `key` is a whole number; `seeds` has a default;
    `say(phase, done)` shows progress, `done` being the share of the whole.

    Attributes:
      title: of the report.
      lines: paragraphs in Markdown, the answer first.
      tables: title -> rows of text, the head first.
      pictures: names of the PNG files in the folder that the report shows.
      details: further tables, which are in report.md alone.
    """

    title: str
    lines: Sequence[str]
    tables: Mapping[str, Sequence[Sequence[str]]]
    pictures: Sequence[str] = ()
    details: Mapping[str, Sequence[Sequence[str]]] = MappingProxyType({})


def as_markdown(findings: Findings) -> str:
    """Lay findings out as GitHub's Markdown."""
    from robust.show.table import markdown_table

    parts = [f"# {findings.title}", *findings.lines]
    parts += [f"![{name}]({name})" for name in findings.pictures]
    for title, rows in {**findings.tables, **findings.details}.items():
        parts += [f"## {title}", "\n".join(markdown_table(rows))]
    return "\n\n".join(parts) + "\n"
