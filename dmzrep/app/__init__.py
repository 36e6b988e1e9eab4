"""The command line, and the pages in the browser."""

from dmzrep.app._cli import main
from dmzrep.app.explorer import build_explorer, explore
from dmzrep.app.pages import write_map, write_report

__all__ = ["build_explorer", "explore", "main", "write_map", "write_report"]
