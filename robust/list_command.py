"""`robust list`: what there is, what it needs and what it costs."""

import inspect

from robust.show import terminal

_LISTED = (
    "In brackets: an extra, as in pip install 'robust-to-optimization[text]'; fetch: "
    "data, as in robust fetch binding. Seconds and "
    "peak memory of `robust run` with the usual settings on two cores, once proxies "
    "are trained and programs compiled. `robust run SUITE` runs a suite; all: every "
    "task."
)


def show_plugins() -> None:
    """Print tables of all that there is; what does not load says why."""
    _show_attacks()
    _show_with_cards("task", "concept")
    _show_with_cards("experiment", "question")
    _show_defences()
    terminal.say(_LISTED, style="dim")


def _show_attacks() -> None:
    from rich.markup import escape
    from rich.table import Table

    from robust import registry

    table = Table("attack", "needs of the target", "cost per slot and step", "steps")
    for name in registry.names("attack"):
        try:
            attack = registry.make("attack", name)
        except ValueError as error:
            table.add_row(name, escape(f"does not load: {error}"), "", "")
            continue
        cost = _count(attack.cost.queries, "query", "queries") + (
            " + " + _count(attack.cost.grads, "gradient", "gradients")
            if attack.cost.grads
            else ""
        )
        needs = ", ".join(sorted(attack.needs)) or "nothing"
        table.add_row(name, needs, cost, f"up to {attack.steps[-1]}")
    terminal.show(table)


def _show_with_cards(kind: str, about_what: str) -> None:
    from rich.markup import escape
    from rich.table import Table

    from robust import registry
    from robust.cards import card_of

    table = Table(kind, about_what, "suites, needs, cost")
    table.columns[0].no_wrap = True
    table.columns[2].max_width = 20
    for name in registry.names(kind):
        try:
            factory = registry.find(kind, name)
        except ValueError as error:
            table.add_row(name, escape(f"does not load: {error}"), "")
            continue
        about = _first_line(factory)
        table.add_row(name, about, escape(_cost(card_of(factory))))
    terminal.show(table)


def _show_defences() -> None:
    from rich.markup import escape
    from rich.table import Table

    from robust import registry

    table = Table("defence", "what it does", "takes")
    table.columns[0].no_wrap = True
    for name in registry.names("defence"):
        try:
            function = registry.find("defence", name)
        except ValueError as error:
            table.add_row(name, escape(f"does not load: {error}"), "")
            continue
        takes = list(inspect.signature(function).parameters)[1:]
        table.add_row(name, _first_line(function), ", ".join(takes))
    terminal.show(table)


def _first_line(function) -> str:
    return (function.__doc__ or "").strip().split("\n")[0]


def _cost(card) -> str:
    parts = [
        *card.suites,
        f"[{card.extra}]" if card.extra else "",
        f"fetch {card.data}" if card.data else "",
        "" if card.seconds is None else f"{card.seconds:.0f} s",
        "" if card.memory_mb is None else f"{card.memory_mb:.0f} MiB",
    ]
    return ", ".join(part for part in parts if part)


def _count(number: int, one: str, several: str) -> str:
    return f"{number} {one if number == 1 else several}"
