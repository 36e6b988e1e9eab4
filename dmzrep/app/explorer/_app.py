"""The explorer: a page in the browser to look at codes, change them and decode them."""

import importlib
import os
import threading
from collections.abc import Callable
from typing import Any

from dmzrep._base._imports import optional_import
from dmzrep._base._validation import as_path, check_int, short_repr
from dmzrep.app.explorer._code_tab import CodeTab
from dmzrep.app.explorer._exploration import Exploration
from dmzrep.app.explorer._parts import Parts
from dmzrep.app.explorer._style import STYLE
from dmzrep.app.explorer._tabs import DrawTab, WalkTab
from dmzrep.estimator import DMZEncoder

#: Seconds between deletions of uploaded and shown pictures, and the age from which they are deleted.
_CLEANING = (600, 3600)
_MAX_FILE_SIZE = "200mb"


def explore(
    model_path: str | os.PathLike,
    index_path: str | os.PathLike | None = None,
    *,
    host: str = "127.0.0.1",
    port: int | None = None,
    open_browser: bool = False,
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Serve a page to explore a model, until interrupted by Ctrl-C.

    Pictures can be dropped to see their codes, their neighbours in a collection and what their bits decode
    to; bits can be switched, attributes edited, and new pictures drawn. Nothing leaves the machine.

    Parameters
    ----------
    model_path : path-like
        File of a `DMZEncoder`.
    index_path : path-like or None, default=None
        File of an `ImageCollection` that was indexed with this model.
    host : str, default="127.0.0.1"
        Address to listen on. The default is reached from this machine only; ``"0.0.0.0"`` also from the
        network, without a password.
    port : int or None, default=None
        Port; None takes the first free one from 7860.
    open_browser : bool, default=False
        Whether to open the page in the browser.
    on_ready : callable or None, default=None
        Called with the address of the page when it can be opened.

    Raises
    ------
    ImportError
        Gradio is not installed.
    OSError
        The port is in use.
    PersistenceError
        A file is not a model or an index.
    ValueError
        The index was made with another model.
    """
    load_gradio()
    model_path = as_path(model_path, "model_path")
    if not isinstance(host, str):
        raise TypeError(f"host must be an address, a str, got {short_repr(host)}.")
    if port is not None:
        port = check_int(port, "port", 1, 65535, also=", or None")
    collection = None
    if index_path is not None:
        index_path = as_path(index_path, "index_path")
        from dmzrep.collection import ImageCollection

        collection = ImageCollection.load(index_path)
    app = build_explorer(DMZEncoder.load(model_path), collection)
    try:
        url = launch(app, host, port, open_browser)
        if on_ready is not None:
            on_ready(url)
        threading.Event().wait()
    except KeyboardInterrupt:
        pass
    finally:
        app.close(verbose=False)


def build_explorer(encoder: DMZEncoder, collection: Any = None) -> Any:
    """Build the page that `explore` serves.

    Parameters
    ----------
    encoder : DMZEncoder
        Fitted to images.
    collection : ImageCollection or None, default=None
        Pictures that were indexed with this encoder, for neighbours and attributes.

    Returns
    -------
    gradio.Blocks
        The page, not yet served.

    Raises
    ------
    ImportError
        Gradio is not installed.
    TypeError, ValueError
        The encoder is not a `DMZEncoder` of images, or the collection was indexed with another one.

    See Also
    --------
    explore : Builds the page and serves it.
    """
    gr = load_gradio()
    exploration = Exploration(encoder, collection)
    parts = Parts(gr, exploration)
    with gr.Blocks(title="dmzrep explorer", analytics_enabled=False, delete_cache=_CLEANING) as app:
        gr.HTML(f"<style>{STYLE}</style><h1>dmzrep explorer</h1><p>{_summary(exploration)}</p>")
        if exploration.why_not_decodable:
            gr.Markdown(exploration.why_not_decodable, elem_id="notice")
        with gr.Tabs() as tabs:
            code = None
            if exploration.has_code:
                with gr.Tab("Picture and code", id="code"):
                    code = CodeTab(parts)
            if exploration.has_code and exploration.can_decode:
                with gr.Tab("Walk", id="walk"):
                    WalkTab(parts)
            if exploration.can_decode:
                with gr.Tab("Draw", id="draw"):
                    DrawTab(parts, tabs, code)
    return app


def launch(app: Any, host: str = "127.0.0.1", port: int | None = None, open_browser: bool = False) -> str:
    """Start the server of the page, without sharing and recording; return the page's address."""
    _, url, _ = app.launch(
        server_name=host,
        server_port=port,
        inbrowser=open_browser,
        prevent_thread_lock=True,
        quiet=True,
        share=False,
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        run_history=False,
        enable_monitoring=False,
        footer_links=[],
        max_file_size=_MAX_FILE_SIZE,
    )
    return url


def load_gradio() -> Any:
    """Return the module `gradio`; raise ImportError that says what to install."""
    with optional_import("The explorer needs Gradio", "app"):
        return importlib.import_module("gradio")


def _summary(exploration: Exploration) -> str:
    """Return a line on the model and the collection."""
    height, width = exploration.format.shape[1:]
    facts = [f"codes of {exploration.latent_dim} bits" if exploration.has_code else "no code"]
    facts.append(f"pictures of {height} x {width} pixels")
    if exploration.collection is not None:
        facts.append(f"collection of {len(exploration.collection.files_):,} pictures")
    return ", ".join(facts)
