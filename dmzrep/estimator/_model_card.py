"""Model cards: descriptions of fitted encoders in Markdown, to accompany saved files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from dmzrep.estimator._onnx import describe_input
from dmzrep.estimator._parameters import all_parameters
from dmzrep.files._atomic import replace_file
from dmzrep.files._container import library_versions
from dmzrep.networks._efficientnet import EFFICIENTNET

_FRONT_MATTER = """\
---
library_name: dmzrep
tags:
- diffusion-autoencoder
- binary-codes
- feature-extraction
---"""

_TRAINED = """\
A diffusion autoencoder: an encoder maps a sample to bits, a diffusion model maps bits to samples. It was
trained without labels by [DMZ](https://arxiv.org/abs/2506.00136) as implemented in dmzrep."""

_INITIALISED = """\
The encoder of a diffusion autoencoder ([DMZ](https://arxiv.org/abs/2506.00136) as implemented in dmzrep). It
maps a sample to bits, and was initialised from data without labels (`max_iter=0`). The diffusion model was
not trained, so that codes cannot be decoded and no samples can be drawn."""

_USES = """\
Codes are meant for search by Hamming distance and as features of linear classifiers and regressors.{decoding}

## Limits

- Bits have no names: what a bit encodes has to be measured on labelled data, and may differ between groups
  of samples.
- Samples unlike those of training get codes too, without a warning.
- Codes do not anonymise.
- Nothing here was measured on a downstream task. Evaluate on samples that were not used in training.
"""

_DECODING = """

With the diffusion model, they also serve for drawing samples like those of training, and for editing samples
through their bits. A code is decoded to one of many samples that agree with it; details that it does not
encode are invented. Drawn samples may resemble training samples, and inherit their biases."""


def write_card(estimator: Any, path: str | os.PathLike, card: str | os.PathLike | bool) -> None:
    """Write the card of an encoder saved at `path`: to the file `card`, or next to `path` if that is True."""
    path = Path(path)
    if isinstance(card, bool):
        card = path.with_suffix(".md") if path.suffix == ".safetensors" else path.with_name(path.name + ".md")
    replace_file(card, model_card(estimator, path.name).encode())


def model_card(estimator: Any, name: str = "encoder.safetensors") -> str:
    """Describe a fitted encoder, saved in the file `name`; begins with metadata for the Hugging Face Hub."""
    decoder, summary = estimator.decoder_, estimator.code_summary_
    subject = f"binary codes of {decoder.latent_dim} bits" if decoder.has_code else "unconditional diffusion"
    parts = [
        _FRONT_MATTER,
        f"# {Path(name).stem}: {subject}",
        _TRAINED if decoder.is_trained else _INITIALISED,
        f"```python\nfrom dmzrep import DMZEncoder\n\n"
        f"encoder = DMZEncoder.load({name!r}{_modules(estimator)})\n"
        "codes = encoder.transform(X)\n```",
        "## Data",
        _table(describe_input(estimator.data_format_, estimator.image_reader_)),
        "## Training",
        "The last lines are the last row of `history_`.",
        _table(_training(estimator)),
    ]
    if summary is not None:
        parts += [
            "## Code",
            f"Over {summary['n_samples']:,.0f} training samples; the prior is `{estimator.prior_.name}`.",
            _table({key: f"{value:.4g}" for key, value in summary.dropna().items()}),
        ]
    uses = "Drawing samples like those of training, which they may resemble closely."
    if decoder.has_code:
        uses = _USES.format(decoding=_DECODING if decoder.is_trained else "").strip()
    parts += [
        "## Intended use",
        uses,
        "## Parameters",
        "Those that differ from the defaults.",
        _table(_changed_parameters(estimator)),
        "## Versions",
        _table(library_versions()),
    ]
    return "\n\n".join(parts) + "\n"


def _modules(estimator: Any) -> str:
    """Return the arguments for custom modules, whose code files do not hold."""
    custom = {"backbone": estimator.model_.config.module, "encoder": estimator.model_.config.extractor}
    return "".join(
        f", {name}={described.split()[0]}(...)"
        for name, described in custom.items()
        if described not in (None, EFFICIENTNET)
    )


def _training(estimator: Any) -> dict[str, object]:
    config, objective = estimator.model_.config, estimator.objective_
    counts, history = estimator.model_.parameter_counts(), estimator.history_
    extractor: dict[str, object] = {}
    if config.extractor is not None:
        trained = "frozen" if config.extractor_frozen else "trained"
        name = config.extractor.split()[0]
        extractor = {"feature extractor": f"{name}, {config.extractor_features:,} features, {trained}"}
    table: dict[str, object] = {
        **extractor,
        "parameters of the networks": f"{sum(counts.values()):,} "
        f"(encoder {counts['encoder']:,}, denoiser {counts['denoiser']:,})",
        "denoiser": f"{config.backbone}, predicts {objective.kind}, "
        f"{objective.schedule.n_timesteps} timesteps, conditioning {config.conditioning}",
        "initialisation of the encoder": estimator.init_,
        "precision": estimator.precision_,
        "ended by": estimator.stopped_,
    }
    last = history.iloc[-1].dropna() if len(history) else {}
    return table | {name: f"{value:.5g}" for name, value in last.items()}


def _changed_parameters(estimator: Any) -> dict[str, object]:
    """Return parameters that differ from the defaults, except machine-specific ones."""
    defaults, params = all_parameters(type(estimator)()), all_parameters(estimator)
    names = [name for name in params if name not in ("checkpoint_dir", "device", "verbose", "distributed")]
    changed = {name: params[name] for name in names if repr(params[name]) != repr(defaults[name])}
    # A module is described in many lines.
    return {
        f"`{name}`": type(value).__name__ if isinstance(value, torch.nn.Module) else repr(value)
        for name, value in changed.items()
    }


def _table(values: dict[str, Any]) -> str:
    lines = [f"| {name} | {str(value).replace('|', chr(92) + '|')} |" for name, value in values.items()]
    return "\n".join(["| | |", "| --- | --- |", *lines]) if lines else "None."
