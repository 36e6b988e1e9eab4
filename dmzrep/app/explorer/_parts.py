"""Parts of the explorer's page, and how events run."""

import functools
import html
from collections.abc import Callable
from typing import Any

from dmzrep.app.explorer._exploration import Exploration, OnStep
from dmzrep.diffusion._sampling import SAMPLERS

#: Errors whose messages are written for users.
_SHOWN = (ValueError, TypeError, OSError, ArithmeticError, MemoryError, IndexError)


class Parts:
    """Components that occur in several places of the page of an exploration."""

    def __init__(self, gr: Any, exploration: Exploration):
        self.gr, self.exploration = gr, exploration

    def on(
        self,
        listener: Callable,
        function: Callable,
        inputs: Any,
        outputs: Any,
        *,
        selects: bool = False,
        **options: Any,
    ) -> Any:
        """Run a function on an event; errors become messages on the page.

        The model is used by one event at a time, as events of all visitors share it. With `selects`, the
        function's argument `event` says what was selected.
        """

        @functools.wraps(function)
        def shown(*args: Any) -> Any:
            try:
                return function(*args)
            except _SHOWN as error:
                message = html.escape(str(error) or type(error).__name__)  # Gradio takes HTML.
                raise self.gr.Error(message, print_exception=False) from error

        # Gradio goes by annotations, and is imported only when needed.
        shown.__annotations__ = {"event": self.gr.SelectData} if selects else {}
        options = {"concurrency_id": "model", "concurrency_limit": 1, "show_progress": "full"} | options
        return listener(shown, inputs, outputs, api_visibility="private", **options)

    def on_step(self) -> OnStep:
        """Return a function that shows the progress of sampling on the page."""
        progress = self.gr.Progress()
        return lambda step, n_steps: progress((step, n_steps), desc="Decoding")

    def image(self, label: str, **options: Any) -> Any:
        """Return an image that is shown only."""
        fixed = {"interactive": False, "format": "png", "image_mode": None, "buttons": []}
        return self.gr.Image(label=label, elem_classes="pixels", **fixed, **options)

    def gallery(self, label: str, *, wraps: bool = True, **options: Any) -> Any:
        """Return a gallery whose pictures can be clicked; one that does not wrap has one row."""
        fixed = {"interactive": False, "allow_preview": False, "format": "png", "buttons": []}
        layout = {
            "object_fit": "contain",
            "height": "auto",
            "elem_classes": ["pixels", "wrapping"] if wraps else "pixels",
        }
        self.gr.Markdown(label, visible=options.get("visible", True))
        return self.gr.Gallery(show_label=False, **fixed, **layout, **options)

    def drop(self, label: str, **options: Any) -> Any:
        """Return an area where files can be dropped."""
        return self.gr.File(label=label, height=120, **options)

    def free(self, drop: Any, event: Any) -> None:
        """Empty an area after its file was read or refused, for the next one."""
        for listener in (event.success, event.failure):
            listener(lambda: None, None, drop, api_visibility="private", show_progress="hidden")

    def sampling(self, n_steps: int = 20) -> list[Any]:
        """Return the controls that `sampling_options` reads."""
        gr, explore = self.gr, self.exploration
        steps = {
            "minimum": 1,
            "maximum": explore.max_steps,
            "value": min(n_steps, explore.max_steps),
            "step": 1,
        }
        guidance = {"minimum": 0, "maximum": 5, "value": 1, "step": 0.1, "visible": explore.can_guide}
        with gr.Row():
            return [
                gr.Number(0, label="Seed of random noise", precision=0, minimum=0, min_width=110),
                gr.Dropdown(["auto", *SAMPLERS], value="auto", label="Sampler", min_width=110),
                gr.Slider(label="Steps", min_width=160, **steps),
                gr.Slider(label="Guidance (above 1: closer to the code)", min_width=160, **guidance),
            ]


def sampling_options(seed: int | None, sampler: str, n_steps: int, guidance: float) -> dict[str, Any]:
    """Return the values of the controls of sampling as options."""
    return {"seed": int(seed or 0), "sampler": sampler, "n_steps": int(n_steps), "guidance": float(guidance)}
