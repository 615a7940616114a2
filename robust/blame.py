"""Say in one line what went wrong in somebody's function, and where."""

import sysconfig
import traceback
from pathlib import Path

_NOT_THEIRS = ("<", str(Path(__file__).parent), sysconfig.get_path("stdlib"))


def blame(error: BaseException) -> str:
    """Name the error, the last line of the caller's own code, and the first of it all.

    Frames of this package and of installed ones are passed over: a user can mend
    neither.
    """
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if "site-packages" not in frame.filename
        and not frame.filename.startswith(_NOT_THEIRS)
    ]
    place = (
        f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    )
    said = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}{place}: {said}"
