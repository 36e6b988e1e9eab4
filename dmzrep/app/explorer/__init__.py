"""A local page in the browser to explore a model."""

from dmzrep.app.explorer._app import build_explorer, explore, launch

__all__ = ["build_explorer", "explore", "launch"]
