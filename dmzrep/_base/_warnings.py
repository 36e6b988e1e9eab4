"""Warnings that point at the user's call."""

import sys
import warnings

#: Modules whose frames are skipped, with those below them.
_SKIPPED = ("dmzrep", "sklearn.callback")


def warn(message: str | Warning, category: type[Warning] = UserWarning) -> None:
    """Issue a warning at the nearest call from outside the package.

    From Python 3.12 on, ``warnings.warn(..., skip_file_prefixes=...)`` does the same.
    """
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and _is_skipped(frame.f_globals.get("__name__", "")):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def _is_skipped(module: str) -> bool:
    return any(module == name or module.startswith(name + ".") for name in _SKIPPED)
