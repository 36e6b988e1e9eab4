"""Subcommands on models: fit, sample, encode, info, explore."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np

from dmzrep.app._group import (
    FILE,
    FOLDER,
    OUTPUT,
    describe_training,
    dmzrep,
    fit_encoder,
    is_shown,
    load_collection,
)
from dmzrep.files._atomic import replacing
from dmzrep.files._container import read_file


@dmzrep.command()
@click.argument("folder", type=FOLDER)
@click.option(
    "-o", "--output", type=OUTPUT, required=True, help="File of the model, such as model.safetensors."
)
@click.option("--bits", type=click.IntRange(1), default=64, show_default=True, help="Bits of a code.")
@click.option("--size", type=click.IntRange(8), default=64, show_default=True, help="Pixels per side.")
@click.option(
    "--resize",
    type=click.Choice(["crop", "pad"]),
    default="crop",
    show_default=True,
    help="How non-square images are resized: cropped around the centre, or with a background added.",
)
@click.option(
    "--minutes",
    type=click.FloatRange(0),
    default=10.0,
    show_default=True,
    help="Time of training; 0 fits the encoder alone, usually within a minute, without a decoder.",
)
@click.option(
    "--encoder",
    type=click.Choice(["auto", "efficientnet_lite0"]),
    default="auto",
    show_default=True,
    help="efficientnet_lite0: pretrained, for photographs (extra pretrained).",
)
@click.option("--resume", is_flag=True, help="Keep checkpoints, and go on with an interrupted training.")
@click.option("--seed", type=int, default=0, show_default=True)
def fit(
    folder: str,
    output: str,
    bits: int,
    size: int,
    resize: str,
    minutes: float,
    encoder: str,
    resume: bool,
    seed: int,
) -> None:
    """Learn codes of the pictures of FOLDER, without labels.

    Codes do not distinguish mirrored pictures. Ctrl-C ends training and keeps what was learned.

    \b
    Example:
      dmzrep fit photos -o photos.safetensors --minutes 5
    """
    model = fit_encoder(
        folder,
        minutes,
        seed,
        latent_dim=bits,
        encoder=encoder,
        reader={"size": size, "resize": resize},
        checkpoint_dir=f"{output}.checkpoints" if resume else None,
    )
    model.save(output)
    click.echo(f"{output}: {bits} bits, {describe_training(model)}", err=True)


@dmzrep.command()
@click.argument("model", type=FILE)
@click.option("-n", type=click.IntRange(1), default=64, show_default=True, help="Number of pictures.")
@click.option("-o", "--output", type=OUTPUT, required=True, help="Picture file, such as grid.png.")
@click.option("--steps", type=click.IntRange(1), default=10, show_default=True, help="Denoising steps.")
@click.option("--seed", type=int, default=0, show_default=True)
def sample(model: str, n: int, output: str, steps: int, seed: int) -> None:
    """Draw new pictures from MODEL, in a grid.

    \b
    Example:
      dmzrep sample photos.safetensors -n 64 -o grid.png
    """
    from PIL import Image

    from dmzrep.estimator import DMZEncoder

    form = Image.registered_extensions().get(Path(output).suffix.lower())
    if form is None:
        raise click.UsageError(
            f"--output must have the extension of an image format, such as .png, got {output}."
        )
    images = DMZEncoder.load(model).sample(n, n_steps=steps, random_state=seed, progress=is_shown())
    columns = int(np.ceil(np.sqrt(n)))
    height, width = images.shape[1:3]
    grid = np.full((-(-n // columns) * height, columns * width, *images.shape[3:]), 255, dtype=np.uint8)
    for i, image in enumerate(images):
        top, left = i // columns * height, i % columns * width
        grid[top : top + height, left : left + width] = image
    with replacing(output) as part:
        Image.fromarray(grid).save(part, format=form)
    click.echo(f"{output}: {n} pictures of {width} x {height} pixels", err=True)


@dmzrep.command()
@click.argument("model", type=FILE)
@click.argument("folder", type=FOLDER)
@click.option(
    "-o", "--output", type=OUTPUT, required=True, help="codes.npz, or codes.parquet (needs pyarrow)."
)
def encode(model: str, folder: str, output: str) -> None:
    """Write the codes of the pictures of FOLDER: path, bits and logits.

    An .npz file has the arrays path, bits (uint8) and logits (float32); a .parquet file one row per picture,
    with the columns path, bit_0, bit_1, ...

    \b
    Example:
      dmzrep encode photos.safetensors photos -o codes.npz
    """
    import pandas as pd

    from dmzrep.datasets import load_images
    from dmzrep.estimator import DMZEncoder

    kind = Path(output).suffix
    if kind not in (".npz", ".parquet"):
        raise click.UsageError(f"--output must end with .npz or .parquet, got {output}.")
    encoder = DMZEncoder.load(model)
    if encoder.image_reader_ is None:
        raise click.UsageError(f"{model} was fitted to arrays and has no ImageReader to read image files.")
    options = encoder.image_reader_.get_params()
    pictures: Any = load_images(folder, options.pop("size"), **options, progress=is_shown())
    logits = encoder.set_params(output="logits").transform(pictures.images)
    paths = [str(Path(folder, name).absolute()) for name in pictures.filenames]
    bits = (logits > 0).astype(np.uint8)
    with replacing(output) as part, open(part, "wb") as file:
        if kind == ".npz":
            np.savez_compressed(file, path=np.array(paths), bits=bits, logits=logits)
        else:
            columns = {f"bit_{i}": bits[:, i] for i in range(bits.shape[1])}
            pd.DataFrame({"path": paths, **columns}).to_parquet(file)
    click.echo(f"{output}: {len(paths)} codes of {bits.shape[1]} bits", err=True)


@dmzrep.command()
@click.argument("file", type=FILE)
@click.option("--json", "form", flag_value="json", default="text", help="One JSON object.")
def info(file: str, form: str) -> None:
    """Describe a model or an index.

    \b
    Example:
      dmzrep info photos.index
    """
    from dmzrep.estimator import DMZEncoder

    kind = read_file(file)[0].get("kind")
    collection = load_collection(file) if kind == "ImageCollection" else None
    encoder = DMZEncoder.load(file) if collection is None else collection.encoder
    reader = encoder.image_reader_
    known: dict[str, Any] = {
        "file": str(Path(file).absolute()),
        "kind": "index" if collection is not None else "model",
        "bits": encoder.decoder_.latent_dim,
        "training": describe_training(encoder),
        "pictures are read as": None if reader is None else reader.rendering.describe(),
    }
    if collection is not None:
        known |= {
            "pictures": len(collection.files_),
            "searched by": collection.metric_,
            "unreadable": dict(collection.unreadable_.itertuples(index=False)),
        }
    if form == "json":
        click.echo(json.dumps(known))
        return
    for name, value in known.items():
        if isinstance(value, dict):
            click.echo(f"{name}: {len(value) if name == 'unreadable' else ''}".rstrip())
            for key, part in value.items():
                click.echo(f"    {key}: {part}")
        else:
            click.echo(f"{name}: {value}")


@dmzrep.command()
@click.argument("model", type=FILE)
@click.argument("index", type=FILE, required=False)
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Address; the default is this machine only."
)
@click.option("--port", type=int, help="Port; by default a free one.")
@click.option("--open/--no-open", "open_browser", default=True, help="Open the page in the browser.")
def explore(model: str, index: str | None, host: str, port: int | None, open_browser: bool) -> None:
    """Explore MODEL in the browser: codes, neighbours, edits, interpolations, samples.

    \b
    Example:
      dmzrep explore photos.safetensors photos.index
    """
    from dmzrep.app.explorer import explore as serve

    say = partial(click.echo, err=True)
    serve(model, index, host=host, port=port, open_browser=open_browser, on_ready=say)
