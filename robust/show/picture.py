"""Pictures that a command is asked for: checked before the work, written after."""

from pathlib import Path

_KINDS = (".png", ".pdf", ".svg")


def check_picture(path: Path, example: str) -> None:
    """Raise ValueError unless `--plot` names a picture in a folder that exists.

    Args:
      example: a good name, for the message.
    """
    if path.is_dir():
        raise ValueError(f"--plot {path} is a folder; name a file such as {example}")
    if path.suffix.lower() not in _KINDS:
        raise ValueError(
            f"--plot {path} ends in {path.suffix or path.name!r}; name a .png, .pdf or "
            ".svg file"
        )
    if not path.parent.is_dir():
        raise ValueError(
            f"--plot {path}: there is no folder {str(path.parent)!r}; make it or name "
            "another"
        )


def save_picture(figure, path: Path) -> None:
    """Write a figure, or raise ValueError with the reason in one line."""
    try:
        figure.savefig(path)
    except OSError as error:
        raise ValueError(
            f"cannot write --plot {path}: {error.strerror or error}; name another file"
        ) from error
