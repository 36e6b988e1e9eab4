"""The command ``dmzrep``: entry point, and the handling of errors and warnings."""

from __future__ import annotations

import sys
import warnings
from typing import Any

from dmzrep.errors import DmzError

#: Exit codes; commands that list return 1 if they found nothing.
DONE, WRONG_USE = 0, 2
#: Errors whose message is meant for users.
_EXPECTED = (DmzError, ValueError, TypeError, OSError, ImportError, RuntimeError)


def main(args: list[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    args : list of str or None, default=None
        Arguments; None takes those of the process.

    Returns
    -------
    int
        0 if something was done or found, 1 if nothing was found, 2 for wrong use and errors, 130 after
        Ctrl-C.

    Examples
    --------
    >>> from dmzrep.app import main
    >>> main(["info", "missing.safetensors"])
    2
    """
    try:
        import click
    except ImportError:
        print('The command line needs click. Install it with: pip install "dmzrep[app]"', file=sys.stderr)
        return WRONG_USE
    from dmzrep.app import _index_commands, _model_commands  # noqa: F401
    from dmzrep.app._group import dmzrep

    with warnings.catch_warnings():
        warnings.showwarning = _show_warning  # type: ignore[assignment]
        try:
            return int(dmzrep.main(args, prog_name="dmzrep", standalone_mode=False) or DONE)
        except click.ClickException as error:
            error.show()
        except (click.Abort, KeyboardInterrupt):
            print("Interrupted.", file=sys.stderr)
            return 130
        except _EXPECTED as error:
            print(f"Error: {error}", *getattr(error, "__notes__", ()), sep="\n", file=sys.stderr)
    return WRONG_USE


def _show_warning(message: Any, *_: Any) -> None:
    print(f"Warning: {message}", file=sys.stderr)
