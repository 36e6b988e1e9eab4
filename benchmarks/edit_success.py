"""Success of edits: whether they change the intended attribute only, as judged by a classifier of pixels.

    python -m benchmarks.edit_success --data DATA [--seconds 600] [--faces 200] [--only NAME ...]

Avatars of 32 x 32 pixels, 128 bits. Each of five attributes is added to the test faces that lack it and
taken from those that have it, as the judge sees them; it never sees a code. "others changed" is the share of
the 46 other attributes that it sees otherwise than in the original face; some must change, such as hair under
a hat. "changed unedited" is what decoding alone does to the attribute, without an edit.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.datasets import ImageData, load_avatars
from benchmarks.pixel_judge import PixelJudge
from benchmarks.results import FOLDER, append
from dmzrep import DMZEncoder
from dmzrep.editing import AttributeEditor
from dmzrep.estimator._parameters import nested_names

ATTRIBUTES = ("smiling", "eyeglasses", "beard", "hat", "dark_clothes")
LATENT_DIM = 128
#: Training faces at the end that encoder and editor do not see, for the choice of defaults.
N_HELD_OUT = 2000
N_LABELLED = 4000

#: What differs from the defaults: of the editor, of its `edit`, and the number of labels.
CHOICES: dict[str, dict[str, Any]] = {
    "default": {},
    "log-odds 4": {"edit": {"amount": 4.0}},
    "log-odds 8, reach 1, C 4": {"editor": {"C": 4.0, "reach": 1.0}, "edit": {"amount": 8.0}},
    "hold others, weight 0.05": {"editor": {"hold_weight": 0.05}, "edit": {"hold": "others"}},
    "decoded whole": {"edit": {"keep": False}},
    "decoded whole, start 0.9": {"edit": {"keep": False, "strength": 0.9}},
    "inverted noise": {"edit": {"noise": "inverted"}},
    "decoded whole, inverted noise": {"edit": {"keep": False, "noise": "inverted"}},
    "soft": {"editor": {"mode": "soft"}},
    "threshold": {"editor": {"mode": "threshold", "features": "probabilities"}},
    "little penalty": {"editor": {"C": 4000.0}},
    "no limit of reach": {"editor": {"reach": None}, "edit": {"amount": 12.0}},
    "reach 1": {"editor": {"reach": 1.0}},
    "100 labels": {"labels": 100},
}


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark and append a row for each choice and attribute."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="folder with avatars64.npz")
    parser.add_argument("--seconds", type=float, default=600.0, help="training time of the encoder")
    parser.add_argument("--faces", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--judge-epochs", type=int, default=4)
    parser.add_argument(
        "--encoder", type=Path, help="file of a trained encoder; trained and written if missing"
    )
    parser.add_argument("--params", type=json.loads, default={}, help="parameters of DMZEncoder as JSON")
    parser.add_argument("--split", choices=("test", "held-out"), default="test")
    parser.add_argument("--only", nargs="+", choices=list(CHOICES), default=["default"])
    parser.add_argument("--steps", type=int, help="denoising steps")
    parser.add_argument("--results", type=Path, default=FOLDER, help="folder of the rows")
    parsed = parser.parse_args(arguments)
    data = load_avatars(parsed.data)
    encoder = trained_encoder(parsed, data)
    judge = PixelJudge(data.train, data.train_labels, epochs=parsed.judge_epochs, random_state=parsed.seed)
    accuracy = (judge.predict(data.test) == data.test_labels.to_numpy()).mean()
    print(f"The judge is right on {accuracy:.4f} of the test faces' attributes.", flush=True)
    faces = data.test if parsed.split == "test" else data.train[-N_HELD_OUT:]
    common = {
        "seconds": parsed.seconds,
        "seed": parsed.seed,
        "latent_dim": LATENT_DIM,
        "params": parsed.params,
        "split": parsed.split,
        "n_steps": parsed.steps,
        "judge_accuracy": float(accuracy),
    }
    for choice in parsed.only:
        settings = CHOICES[choice]
        n_labels = settings.get("labels", N_LABELLED)
        editor = AttributeEditor(encoder, **settings.get("editor", {}))
        editor.fit(data.train[:n_labels], data.train_labels[:n_labels])
        options = {"n_steps": parsed.steps} | settings.get("edit", {})
        rows = [success(editor, judge, faces[: parsed.faces], name, options) for name in ATTRIBUTES]
        for row in rows:
            append("edit_success", common | {"choice": choice, "labels": n_labels} | row, parsed.results)
        table = pd.DataFrame(rows).set_index("attribute")
        table.loc["mean"] = table.mean()
        print(f"\n{choice}\n{table.round(3).to_string()}", flush=True)


def trained_encoder(parsed: argparse.Namespace, data: ImageData) -> DMZEncoder:
    """Load the encoder that the options name, or train one."""
    if parsed.encoder is not None and parsed.encoder.exists():
        return DMZEncoder.load(parsed.encoder)
    params = {"max_time": parsed.seconds, "max_iter": 10_000, "random_state": parsed.seed, "verbose": 1}
    encoder = DMZEncoder(LATENT_DIM).set_params(**nested_names(params | parsed.params))
    encoder.fit(data.train[:-N_HELD_OUT])
    if parsed.encoder is not None:
        encoder.save(parsed.encoder)
    return encoder


def success(
    editor: AttributeEditor, judge: PixelJudge, faces: np.ndarray, attribute: str, options: dict[str, Any]
) -> dict[str, Any]:
    """Invert an attribute of every face and count the changes that the judge detects."""
    place = judge.names.index(attribute)
    seen = judge.predict(faces)
    amount = options.get("amount", np.inf)
    options = {name: value for name, value in options.items() if name != "amount"}
    after, unedited, flips = seen.copy(), seen.copy(), np.zeros(len(faces))
    for present in (False, True):
        rows = np.flatnonzero(seen[:, place] == present)
        if len(rows) == 0:
            continue
        wanted = [0.0, -amount if present else amount]
        images, codes = editor.sweep(faces[rows], attribute, wanted, **options)
        unedited[rows], after[rows] = judge.predict(images[0]), judge.predict(images[1])
        flips[rows] = (np.abs(codes[1].astype(float) - codes[0]) > 0.5).sum(axis=1)
    changed = after != seen
    others = np.delete(np.arange(len(judge.names)), place)
    had = seen[:, place]
    return {
        "attribute": attribute,
        "faces": len(faces),
        "changed": float(changed[:, place].mean()),
        "added": float(changed[~had, place].mean()) if (~had).any() else None,
        "removed": float(changed[had, place].mean()) if had.any() else None,
        "changed_unedited": float((unedited != seen)[:, place].mean()),
        "others_changed": float(changed[:, others].mean()),
        "others_changed_unedited": float((unedited != seen)[:, others].mean()),
        "bits_flipped": float(flips.mean()),
    }


if __name__ == "__main__":
    main()
