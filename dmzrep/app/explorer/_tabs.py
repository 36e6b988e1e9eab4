"""The explorer's tabs of walks between two pictures and of new pictures."""

from typing import Any

import numpy as np

from dmzrep.app.explorer._code_tab import CodeTab
from dmzrep.app.explorer._exploration import Picture
from dmzrep.app.explorer._parts import Parts, sampling_options
from dmzrep.editing._interpolation import PATHS
from dmzrep.estimator._inputs import NOISES

_N_IMAGES, _MOST_IMAGES = 9, 21
_N_DRAWN, _MOST_DRAWN = 16, 100
#: Steps where many pictures are decoded.
_FEW_STEPS = 10


class WalkTab:
    """Two pictures, and the pictures between their codes."""

    def __init__(self, parts: Parts):
        self.parts, self.exploration = parts, parts.exploration
        gr = parts.gr
        self.samples = gr.State(None)
        with gr.Row():
            ends = [self._end("First picture", "first"), self._end("Last picture", "last")]
        with gr.Row():
            count = gr.Slider(3, _MOST_IMAGES, _N_IMAGES, step=1, label="Pictures", min_width=160)
            path = gr.Dropdown(
                list(PATHS),
                value="smooth",
                label="Path",
                info="Order in which the bits are switched",
                min_width=160,
            )
            noise = gr.Radio(
                list(NOISES),
                value=NOISES[0],
                label="Noise",
                info="Zero: typical pictures; inverted: begins and ends close to yours",
                min_width=160,
            )
        with gr.Accordion("Decoding", open=False):
            sampling = parts.sampling()
        walk = gr.Button("Walk", variant="primary", elem_id="walk")
        self.strip = parts.gallery(
            "Bits that differ from the first picture", wraps=False, columns=_N_IMAGES, elem_id="strip"
        )
        self.place = gr.Slider(1, 2, 1, step=1, label="Place on the walk", visible=False, elem_id="place")
        self.large = parts.image("Picture at this place", height=320, elem_id="large", visible=False)
        outputs = [self.samples, self.strip, self.place, self.large]
        inputs = [*ends, count, path, noise, *sampling]
        parts.on(walk.click, self.walk, inputs, outputs, show_progress_on=self.strip)
        options: dict[str, Any] = {"show_progress": "hidden", "concurrency_id": "step"}
        parts.on(
            self.place.change,
            self.step_at,
            [self.samples, self.place],
            self.large,
            trigger_mode="always_last",
            **options,
        )
        parts.on(self.strip.select, self.go_to, None, self.place, selects=True, **options)

    def _end(self, label: str, name: str) -> Any:
        """Return the state of an end of the walk."""
        parts, gr = self.parts, self.parts.gr
        picture = gr.State(None)
        with gr.Column(min_width=260):
            drop = parts.drop(label, elem_id=f"{name}-drop")
            any_picture = gr.Button("Any picture", size="sm", visible=self.exploration.collection is not None)
            shown = parts.image(f"{label}, as the model sees it", height=200, elem_id=name)
        parts.free(drop, parts.on(drop.upload, self.read, [drop], [picture, shown], show_progress="hidden"))
        parts.on(any_picture.click, self.read_any, [], [picture, shown], show_progress_on=shown)
        return picture

    def read(self, path: str | None) -> tuple[Picture, np.ndarray]:
        if path is None:
            raise ValueError("Drop a picture file.")
        picture = self.exploration.read(path)
        return picture, self.exploration.show(picture.sample)[0]

    def read_any(self) -> tuple[Picture, np.ndarray]:
        picture = self.exploration.read_row(self.exploration.random_row(np.random.default_rng()))
        return picture, self.exploration.show(picture.sample)[0]

    def walk(
        self, first: Picture | None, last: Picture | None, count: int, path: str, noise: str, *controls: Any
    ) -> tuple[np.ndarray, list[Any], Any, Any]:
        """Decode the pictures between two codes."""
        if first is None or last is None:
            raise ValueError("Drop a first and a last picture.")
        options = sampling_options(*controls) | {"path": path, "noise": noise}
        samples, flips = self.exploration.walk(
            first, last, int(count), on_step=self.parts.on_step(), **options
        )
        pictures = self.exploration.show(samples)
        captions = [f"{n:g} bit{'' if n == 1 else 's'}" for n in flips.round(1)]
        update = self.parts.gr.update
        place = update(maximum=len(pictures), value=1, visible=True)
        strip = update(value=list(zip(pictures, captions, strict=True)), columns=len(pictures))
        return samples, strip, place, update(value=pictures[0], visible=True)

    def step_at(self, samples: np.ndarray | None, place: int) -> np.ndarray | None:
        """Return the picture at a place of the walk."""
        if samples is None:
            return None
        return self.exploration.show(samples[[min(int(place), len(samples)) - 1]])[0]

    def go_to(self, event: Any) -> int:
        """Return the place of the picture that was clicked."""
        return event.index + 1


class DrawTab:
    """New pictures; a click opens one in the tab of codes."""

    def __init__(self, parts: Parts, tabs: Any, code: CodeTab | None):
        self.parts, self.exploration = parts, parts.exploration
        gr = parts.gr
        self.code, self.samples = code, gr.State(None)
        with gr.Row():
            count = gr.Slider(1, _MOST_DRAWN, _N_DRAWN, step=1, label="Pictures", min_width=160)
            prior = gr.Dropdown(
                list(self.exploration.priors),
                value=self.exploration.priors[0],
                label="Prior of the codes",
                visible=self.exploration.has_code,
                min_width=160,
            )
        sampling = parts.sampling(_FEW_STEPS)
        draw = gr.Button("Draw", variant="primary", elem_id="draw")
        label = "New pictures" if code is None else "New pictures. Click one to see its code"
        drawn = parts.gallery(label, elem_id="drawn")
        parts.on(draw.click, self.draw, [count, prior, *sampling], [self.samples, drawn])
        if code is not None:
            code.show_on(drawn.select, self.open, [self.samples], selects=True)
            drawn.select(lambda: gr.Tabs(selected="code"), None, tabs, api_visibility="private")

    def draw(self, count: int, prior: str, *controls: Any) -> tuple[np.ndarray, list[np.ndarray]]:
        options = sampling_options(*controls) | {"prior": prior, "on_step": self.parts.on_step()}
        samples = self.exploration.draw(int(count), **options)
        return samples, self.exploration.show(samples)

    def open(self, samples: np.ndarray, event: Any) -> list[Any]:
        """Return the outputs of the tab of codes for the new picture that was clicked."""
        assert self.code is not None
        name = f"new picture {event.index + 1}"
        return self.code.show(self.exploration.picture(samples[[event.index]], name))
