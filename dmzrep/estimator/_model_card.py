"""Model cards: what a fitted encoder is, in Markdown, for people who are handed its file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pandas as pd

from dmzrep.data import ImageFormat
from dmzrep.estimator._parameters import all_parameters
from dmzrep.files._atomic import replace_file
from dmzrep.files._container import library_versions

#: Losses of the last epoch that a card tells, with what they are.
_LOSSES = {
    "loss": "training, relaxed bits",
    "validation_loss": "validation, relaxed bits",
    "validation_loss_hard": "validation, hard bits",
    "validation_loss_shuffled": "validation, hard bits of another row",
    "validation_loss_no_code": "validation, without a code",
}

_FRONT_MATTER = """\
---
library_name: dmzrep
tags:
- diffusion-autoencoder
- binary-codes
- feature-extraction
---"""

_USES = """\
Codes are meant for search by Hamming distance, as features of linear classifiers and regressors, for drawing
rows like those of training, and for edits of rows through their bits.

## Limits

- Bits have no names: what one of them stands for has to be found out on data with labels, and may differ
  between groups of rows.
- The model knows rows like those it was trained on. Others get codes too, without a warning.
- Decoding a code draws one of many rows that it fits; details that the code does not tell are made up.
- Drawn rows may resemble rows of training, and inherit their biases. Codes are no anonymisation.
- Nothing here was measured on a task. Measure on rows that training has not seen.
"""


def write_card(estimator: Any, path: str | os.PathLike, card: str | os.PathLike | bool) -> None:
    """Write the card of an encoder that was saved.

    Parameters
    ----------
    estimator : DMZEncoder
        Fitted.
    path : path-like
        Its file.
    card : path-like or bool
        The card's file, which is replaced. True stands beside `path` with the ending ``.md``.
    """
    path = Path(path)
    if isinstance(card, bool):
        card = path.with_suffix(".md") if path.suffix == ".safetensors" else path.with_name(path.name + ".md")
    replace_file(card, model_card(estimator, path.name).encode())


def model_card(estimator: Any, name: str = "encoder.safetensors") -> str:
    """Describe a fitted encoder in Markdown.

    Parameters
    ----------
    estimator : DMZEncoder
        Fitted.
    name : str, default="encoder.safetensors"
        Name of its file.

    Returns
    -------
    str
        Begins with the metadata that the Hugging Face Hub reads.

    Examples
    --------
    >>> from dmzrep import DMZEncoder, Network
    >>> from dmzrep.datasets import load_digits_images
    >>> from dmzrep.estimator._model_card import model_card
    >>> X = load_digits_images().images[:64]
    >>> encoder = DMZEncoder(16, network=Network(width=(8, 16)), max_iter=1, random_state=0).fit(X)
    >>> print(model_card(encoder).splitlines()[1])
    library_name: dmzrep
    """
    bits = estimator.model_.config.latent_dim
    has_code = estimator.model_.config.conditioning != "none"
    subject = f"binary codes of {bits} bits" if has_code else "a diffusion model without codes"
    parts = [
        _FRONT_MATTER,
        f"# {Path(name).stem}: {subject}",
        "A diffusion autoencoder: an encoder turns a row into bits, a diffusion model turns bits into rows. "
        "It was trained without labels by "
        "[DMZ](https://arxiv.org/abs/2506.00136) as implemented in dmzrep.",
        f"```python\nfrom dmzrep import DMZEncoder\n\nencoder = DMZEncoder.load({name!r})\n"
        "codes = encoder.transform(X)\n```",
        "## Data",
        _table(_data(estimator)),
        "## Training",
        _table(_training(estimator)),
    ]
    if has_code:
        summary = estimator.code_summary_
        parts += [
            "## Code",
            f"Over {summary['n_samples']:,.0f} training rows; the prior is `{estimator.prior_.name}`.",
            _table({key: f"{value:.4g}" for key, value in summary.dropna().items() if key != "rows"}),
        ]
    parts += [
        "## What it is for",
        _USES.strip() if has_code else "Drawing rows like those of training, which it may resemble closely.",
        "## Parameters",
        "Those that differ from the defaults.",
        _table(_changed_parameters(estimator)),
        "## Versions",
        _table(library_versions()),
    ]
    return "\n\n".join(parts) + "\n"


def _data(estimator: Any) -> dict[str, object]:
    data_format = estimator.data_format_
    if isinstance(data_format, ImageFormat):
        channels, height, width = data_format.shape
        return {
            "rows": f"images of {height} x {width} pixels, {channels} channel{'s' * (channels > 1)}",
            "shape of X": f"(n, {', '.join(map(str, data_format.sample_shape))})",
            "dtype": data_format.dtype,
            "range": f"{data_format.low:g} to {data_format.high:g}",
        }
    return {
        "rows": f"vectors of {data_format.shape[0]} features, standardised",
        "shape of X": f"(n, {data_format.shape[0]})",
        "dtype": data_format.dtype,
        "range": "no limits; means of features from "
        f"{data_format.mean.min():g} to {data_format.mean.max():g}, "
        f"scales from {data_format.scale.min():g} to {data_format.scale.max():g}",
    }


def _training(estimator: Any) -> dict[str, object]:
    config, objective = estimator.model_.config, estimator.objective_
    counts = estimator.model_.parameter_counts()
    history: pd.DataFrame = estimator.history_
    rows: dict[str, object] = {
        "parameters of the networks": f"{sum(counts.values()):,} "
        f"(encoder {counts['encoder']:,}, denoiser {counts['denoiser']:,})",
        "denoiser": f"{config.backbone}, predicts {objective.kind}, "
        f"{objective.schedule.n_timesteps} timesteps, conditioning {config.conditioning}",
        "encoder's start": estimator.init_,
        "epochs": f"{estimator.n_iter_} (ended by {estimator.stopped_})",
        "precision": estimator.precision_,
    }
    if len(history):
        last = history.iloc[-1]
        rows |= {"seconds": f"{last['seconds']:,.0f}", "rows seen": f"{last['images']:,.0f}"}
        for name, meaning in _LOSSES.items():
            known = history[name].dropna().tolist() if name in history else []
            if known:
                rows[f"loss, {meaning}"] = f"{known[-1]:.4g}"
    return rows


def _changed_parameters(estimator: Any) -> dict[str, object]:
    defaults, present = all_parameters(type(estimator)()), all_parameters(estimator)
    # Cards are passed on: what tells of the machine and not of the model is left out.
    names = [name for name in present if name not in ("checkpoint_dir", "device", "verbose", "distributed")]
    return {f"`{name}`": repr(present[name]) for name in names if repr(present[name]) != repr(defaults[name])}


def _table(rows: dict[str, Any]) -> str:
    lines = [f"| {name} | {str(value).replace('|', chr(92) + '|')} |" for name, value in rows.items()]
    return "\n".join(["| | |", "| --- | --- |", *lines]) if lines else "None."
