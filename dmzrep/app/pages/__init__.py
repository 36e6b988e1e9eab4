"""Self-contained pages for the browser: a map and a report of a collection."""

from dmzrep.app.pages._page import write_map, write_report

__all__ = ["write_map", "write_report"]
