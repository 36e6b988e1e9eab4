"""The explorer's tab of a picture and its code."""

import html
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dmzrep.app.explorer._attribute_labels import read_labels
from dmzrep.app.explorer._exploration import (
    DETAILS,
    CodesAsSamples,
    Picture,
    attribute_probabilities,
    edited_bits,
    switched,
)
from dmzrep.app.explorer._parts import Parts, sampling_options
from dmzrep.app.explorer._style import GRID_SCRIPT, GRID_STYLE, GRID_TEMPLATE
from dmzrep.datasets._pictures import load_pillow
from dmzrep.editing import AttributeEditor

#: Sliders of attributes that are shown at first, and at most.
_N_SLIDERS, MAX_SLIDERS = 6, 12
#: Largest log-odds of a slider.
_REACH = 12.0
_N_NEIGHBORS = 16


class CodeTab:
    """A picture, its code, what the code decodes to, attributes and neighbours.

    The bits are held by the grid in the browser, all else by the state of a visitor's session.
    """

    def __init__(self, parts: Parts):
        self.parts, self.exploration = parts, parts.exploration
        gr, can_decode = parts.gr, parts.exploration.can_decode
        has_collection = parts.exploration.collection is not None
        self.picture, self.editor, self.rows = gr.State(None), gr.State(None), gr.State([])
        with gr.Row():
            with gr.Column(scale=2, min_width=260):
                drop = parts.drop("Drop a picture", elem_id="drop")
                with gr.Row():
                    any_picture = gr.Button("Any picture", size="sm", visible=has_collection)
                    new_picture = gr.Button("New code", size="sm", visible=can_decode, elem_id="new")
                self.original = parts.image("As the model sees it", height=280, elem_id="original")
            with gr.Column(scale=2, min_width=260, visible=can_decode):
                self.decoded = parts.image("Decoded from the bits", height=320, elem_id="decoded")
                self.status = gr.HTML("", elem_id="status", elem_classes="status")
                with gr.Accordion("Decoding", open=False):
                    self.details = gr.Radio(
                        list(DETAILS),
                        value=DETAILS[0],
                        label="Details that bits do not determine",
                        info="Typical of the code; drawn at random; those of the picture, where switched "
                        "bits change nothing; or those of the noise that the picture inverts to.",
                    )
                    self.sampling = parts.sampling()
            with gr.Column(scale=3, min_width=300):
                self.grid = gr.HTML(
                    None,
                    html_template=GRID_TEMPLATE,
                    css_template=GRID_STYLE,
                    js_on_load=GRID_SCRIPT,
                    elem_id="grid",
                )
                back = gr.Button("Back to the picture's code", size="sm", visible=can_decode, elem_id="back")
        with gr.Accordion("Attributes", open=has_collection, visible=can_decode):
            self._attributes(has_collection)
        self.neighbours = parts.gallery(
            "Nearest pictures, with distances. Click one to look at it",
            visible=has_collection,
            elem_id="neighbours",
        )
        self.show_on(drop.upload, self.read, [drop], drop=drop)
        self.show_on(any_picture.click, self.read_any, [])
        self.show_on(new_picture.click, self.draw, self.sampling, show_progress="full")
        self.show_on(self.neighbours.select, self.read_neighbour, [self.rows], selects=True)
        self._decode_on(self.grid.switch)
        self._decode_on(self.details.input)
        for control in self.sampling:
            self._decode_on(control.change)
        self._decode_on(self._on(back.click, self.reset, [self.picture], self.changed).success)

    def _attributes(self, has_collection: bool) -> None:
        gr = self.parts.gr
        if not has_collection:
            gr.Markdown(
                "Attributes are learned from labelled pictures of a collection: open the explorer with one."
            )
        with gr.Row(visible=has_collection):
            with gr.Column(scale=1, min_width=260):
                labels = self.parts.drop("Labels (CSV)", elem_id="labels")
                self.note = gr.Markdown("A column path, and columns of 0 and 1.", elem_id="note")
            with gr.Column(scale=3, min_width=300):
                self.chosen = gr.Dropdown(
                    [],
                    multiselect=True,
                    max_choices=MAX_SLIDERS,
                    visible=False,
                    label="Attributes",
                    info="0 leaves the picture as it is; to the right adds, to the left removes (log-odds).",
                )
                with gr.Row():
                    self.sliders = [
                        gr.Slider(
                            -_REACH,
                            _REACH,
                            0,
                            step=0.5,
                            visible=False,
                            min_width=200,
                            elem_classes="attribute",
                        )
                        for _ in range(MAX_SLIDERS)
                    ]
        self.changed = [self.grid, *self.sliders]
        on = self._on
        outputs = [self.editor, self.note, self.chosen, *self.sliders]
        learned = on(labels.upload, self.learn, [labels], outputs, show_progress_on=self.note)
        self.parts.free(labels, learned)
        on(self.chosen.input, self.choose, [self.chosen], self.sliders)
        inputs = [self.picture, self.editor, self.chosen, *self.sliders]
        for slider in self.sliders:
            options = {"trigger_mode": "always_last", "show_progress": "hidden"}
            self._decode_on(on(slider.input, self.edit, inputs, self.grid, **options).success)

    # Events.

    def _on(self, *args: Any, **options: Any) -> Any:
        return self.parts.on(*args, **options)

    def show_on(self, listener: Any, read: Any, inputs: list[Any], drop: Any = None, **options: Any) -> Any:
        """On an event, show the picture that `read` returns, then what it decodes to and its neighbours."""
        outputs = [self.picture, self.original, *self.changed]
        event = self._on(listener, read, inputs, outputs, **{"show_progress": "hidden"} | options)
        if drop is not None:
            self.parts.free(drop, event)
        if self.exploration.can_decode:
            event = self._decode_on(event.success, show_progress="full")
        if self.exploration.collection is not None:
            event = self._on(event.success, self.find, [self.picture], [self.neighbours, self.rows])
        return event

    def _decode_on(self, listener: Any, **options: Any) -> Any:
        if not self.exploration.can_decode:
            return None
        inputs = [self.picture, self.grid, self.editor, self.chosen, self.details, *self.sampling]
        options = {"trigger_mode": "always_last", "show_progress": "minimal"} | options
        outputs = [self.decoded, self.status]
        return self._on(listener, self.decode, inputs, outputs, show_progress_on=self.decoded, **options)

    def show(self, picture: Picture) -> list[Any]:
        """Return the outputs of a new picture; sliders are at 0."""
        sliders = [self.parts.gr.update(value=0)] * MAX_SLIDERS
        return [picture, self.exploration.show(picture.sample)[0], grid_value(picture), *sliders]

    def read(self, path: str | None) -> list[Any]:
        if path is None:
            raise ValueError("Drop a picture file.")
        return self.show(self.exploration.read(path))

    def read_any(self) -> list[Any]:
        return self.show(self.exploration.read_row(self.exploration.random_row(np.random.default_rng())))

    def read_neighbour(self, rows: list[int], event: Any) -> list[Any]:
        return self.show(self.exploration.read_row(rows[event.index]))

    def draw(self, *controls: Any) -> list[Any]:
        """Draw a code from the prior, of another seed each time, and decode it."""
        options = sampling_options(*controls) | {"seed": int(np.random.default_rng().integers(10**6))}
        return self.show(self.exploration.drawn(**options, on_step=self.parts.on_step()))

    def find(self, picture: Picture | None) -> tuple[list[Any], list[int]]:
        """Return the nearest pictures of the collection for the gallery, and their rows."""
        if picture is None:
            return [], []
        found, rows = self.exploration.neighbours(picture, _N_NEIGHBORS)
        pillow = load_pillow()
        return [(pillow.open(io.BytesIO(data)), caption) for data, caption in found], rows

    def decode(
        self,
        picture: Picture | None,
        grid: Mapping[str, Any] | None,
        editor: AttributeEditor | None,
        chosen: list[str],
        details: str,
        *controls: Any,
    ) -> tuple[np.ndarray | None, str]:
        if picture is None or grid is None:
            return None, ""
        options = sampling_options(*controls)
        bits = np.asarray(grid["bits"])
        sample = self.exploration.decode(
            picture, bits, details=details, on_step=self.parts.on_step(), **options
        )
        return self.exploration.show(sample)[0], status_line(picture, bits, editor, chosen)

    def reset(self, picture: Picture | None) -> list[Any]:
        grid = None if picture is None else grid_value(picture)
        return [grid, *[self.parts.gr.update(value=0)] * MAX_SLIDERS]

    def learn(self, path: str | None) -> list[Any]:
        if path is None:
            raise ValueError("Drop a CSV file with labels.")
        editor, note = learn_attributes(self.exploration, path)
        chosen = editor.attributes_[:_N_SLIDERS]
        dropdown = self.parts.gr.update(choices=editor.attributes_, value=chosen, visible=True)
        return [editor, f"{Path(path).name}: {note}", dropdown, *self.choose(chosen)]

    def choose(self, chosen: list[str]) -> list[Any]:
        update = self.parts.gr.update
        shown = [update(label=name, value=0, visible=True) for name in chosen]
        return shown + [update(value=0, visible=False)] * (MAX_SLIDERS - len(shown))

    def edit(
        self,
        picture: Picture | None,
        editor: AttributeEditor | None,
        chosen: list[str],
        *amounts: float,
    ) -> dict[str, Any] | None:
        if picture is None or editor is None:
            return None
        wanted = dict(zip(chosen, amounts, strict=False))
        return grid_value(picture, edited_bits(editor, picture, wanted))


def grid_value(picture: Picture, bits: np.ndarray | None = None) -> dict[str, Any]:
    """Return the value of the grid of bits: those of the picture, or others made from them."""
    own = picture.bits
    return {
        "bits": (own if bits is None else bits).astype(int).tolist(),
        "own": own.astype(int).tolist(),
        "probabilities": picture.probabilities.round(4).tolist(),
    }


def learn_attributes(exploration: Any, path: str) -> tuple[AttributeEditor, str]:
    """Fit an editor of codes to the labels of a CSV file, and return it with a note on the labels."""
    if exploration.collection is None:
        raise ValueError("Attributes need a collection whose pictures have labels.")
    rows, labels, note = read_labels(path, exploration.collection.files_["path"].tolist())
    return AttributeEditor(CodesAsSamples()).fit(exploration.probabilities_of(rows), labels), note


def status_line(picture: Picture, bits: np.ndarray, editor: AttributeEditor | None, chosen: list[str]) -> str:
    """Return a line on the picture, its switched bits and the attributes that changed by them, as HTML."""
    n = switched(picture, bits)
    facts = [html.escape(picture.name), f"{n} bit{'' if n == 1 else 's'} switched"]
    if editor is not None and n:
        before, after = (attribute_probabilities(editor, codes) for codes in (picture.bits, bits))
        for name in chosen:
            if abs(after[name] - before[name]) > 0.05:
                facts.append(f"{html.escape(name)} {before[name]:.0%} → {after[name]:.0%}")
    return " · ".join(facts)
