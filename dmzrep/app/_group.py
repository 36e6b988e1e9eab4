"""The command ``dmzrep`` and what its subcommands share."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from dmzrep.version import __version__

FOLDER = click.Path(exists=True, file_okay=False)
FILE = click.Path(exists=True, dir_okay=False)


class OutputFile(click.Path):
    """A file to write, in a folder that exists."""

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        path = str(super().convert(value, param, ctx))
        if not Path(path).absolute().parent.is_dir():
            self.fail(f"There is no folder {Path(path).parent}.", param, ctx)
        return path


OUTPUT = OutputFile(dir_okay=False, writable=True)
_SHOWN: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


@click.group(context_settings=_SHOWN)
@click.version_option(__version__)
def dmzrep() -> None:
    """Search, duplicates, outliers and a map of a folder of pictures.

    \b
    From a folder to its duplicates and ten similar images:
      dmzrep fit photos -o photos.safetensors --minutes 5
      dmzrep index photos -m photos.safetensors -o photos.index
      dmzrep duplicates photos.index
      dmzrep search photos.index photos/beach.jpg

    Or all of it in one page: dmzrep report photos -o report.html

    No command changes, moves or deletes a picture. Exit codes: 0 found or done, 1 nothing found, 2 wrong use.
    """


def is_shown() -> bool:
    """Whether progress bars are shown: only on terminals."""
    return sys.stderr.isatty()


def fit_encoder(folder: str, minutes: float, seed: int, reader: dict[str, Any], **params: Any) -> Any:
    """Fit an encoder to a folder, for so many minutes; 0 fits the encoder alone."""
    from dmzrep.datasets import ImageReader
    from dmzrep.estimator import DMZEncoder

    params |= {"max_iter": 0} if minutes == 0 else {"max_iter": 1_000_000, "max_time": 60.0 * minutes}
    if params.get("checkpoint_dir"):
        params["checkpoint_every"] = 30.0
    encoder = DMZEncoder(
        **params,
        encoder_augment="affine_flip",
        image_reader=ImageReader(**reader),
        random_state=seed,
        verbose=int(is_shown()),
    )
    return encoder.fit(folder)


def load_collection(path: str) -> Any:
    from dmzrep.collection import ImageCollection

    return ImageCollection.load(path)


def describe_training(model: Any) -> str:
    """Return a description of how long an encoder was trained."""
    if not model.decoder_.is_trained:
        return "encoder only (no decoder)"
    return f"{model.n_iter_} epochs, stopped by {model.stopped_}"
