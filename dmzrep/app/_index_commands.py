"""Subcommands on indexes of folders: index, search, duplicates, outliers, map, report."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import click

from dmzrep.app._group import FILE, FOLDER, OUTPUT, dmzrep, fit_encoder, is_shown, load_collection
from dmzrep.app._output import choices, print_duplicates, print_table, size_of


@dmzrep.command()
@click.argument("folder", type=FOLDER)
@click.option(
    "-m", "--model", type=FILE, help="Model file written by `dmzrep fit`; not needed to update an index."
)
@click.option(
    "-o", "--output", type=OUTPUT, required=True, help="File of the index. An existing one is updated."
)
def index(folder: str, model: str | None, output: str) -> None:
    """Encode the pictures of FOLDER, or update an index of it.

    Only new and changed files are read for an existing index. It holds codes, thumbnails and the model.

    \b
    Example:
      dmzrep index photos -m photos.safetensors -o photos.index
    """
    from dmzrep.collection import ImageCollection
    from dmzrep.estimator import DMZEncoder

    if Path(output).exists() and model is None:
        collection = ImageCollection.load(output)
        changes = collection.update(folder, progress=is_shown())
        counts = changes["change"].value_counts()
        done = ", ".join(f"{count} {change}" for change, count in counts.items()) or "nothing has changed"
    elif model is None:
        raise click.UsageError(
            f"There is no index {output} to update. To create a new index, pass a model with -m."
        )
    else:
        collection = ImageCollection(DMZEncoder.load(model)).fit(folder, progress=is_shown())
        done = f"{len(collection.files_)} pictures"
    collection.save(output)
    unreadable = len(collection.unreadable_)
    click.echo(
        f"{output}: {done}{f', {unreadable} unreadable (see dmzrep info)' if unreadable else ''}", err=True
    )


@dmzrep.command()
@click.argument("index", type=FILE)
@click.argument("pictures", type=FILE, nargs=-1, required=True)
@click.option("-k", type=click.IntRange(1), default=10, show_default=True, help="Number of results.")
@click.option("--without", type=FILE, multiple=True, help="Image that results should be dissimilar to.")
@choices
def search(index: str, pictures: tuple[str, ...], k: int, without: tuple[str, ...], form: str) -> int:
    """List the pictures of INDEX that are most similar to PICTURES, or to the mean of several.

    \b
    Examples:
      dmzrep search photos.index beach.jpg
      dmzrep search photos.index beach.jpg dunes.jpg --without desert.jpg -k 20 --paths
    """
    found = load_collection(index).search(list(pictures), k, without=list(without) or None)
    return print_table(found, form)


@dmzrep.command()
@click.argument("index", type=FILE)
@click.option(
    "--tier",
    type=click.Choice(["same", "similar"]),
    default="same",
    show_default=True,
    help="same: equal files and edited copies. similar: near codes, but not the same picture.",
)
@click.option("--across", type=FOLDER, nargs=2, help="List only duplicates that occur in both folders.")
@click.option("--mirrored", is_flag=True, help="Treat mirrored copies as duplicates.")
@click.option("--max-false-pairs", type=click.FloatRange(0), help="Maximum expected number of false pairs.")
@choices
def duplicates(
    index: str,
    tier: str,
    across: tuple[str, str] | None,
    mirrored: bool,
    max_false_pairs: float | None,
    form: str,
) -> int:
    """List groups of duplicates in INDEX, small groups first, with a suggested image to keep.

    --paths lists the images that need not be kept. The threshold is calibrated on edited copies of the images
    of INDEX.

    \b
    Examples:
      dmzrep duplicates photos.index
      dmzrep duplicates photos.index --across photos/2023 photos/backup --json
    """
    table = load_collection(index).duplicates(
        tier, across=across, mirrored=mirrored, max_false_pairs=max_false_pairs
    )
    return print_duplicates(table, form)


@dmzrep.command()
@click.argument("index", type=FILE)
@click.option("-n", type=click.IntRange(1), help="Number of rare pictures; default: 1 %, at least 10.")
@choices
def outliers(index: str, n: int | None, form: str) -> int:
    """List pictures with rare codes, and flat, dark and bright ones.

    \b
    Example:
      dmzrep outliers photos.index -n 20 --json
    """
    return print_table(load_collection(index).outliers(n), form)


@dmzrep.command("map")
@click.argument("index", type=FILE)
@click.option("-o", "--output", type=OUTPUT, required=True, help="File of the page, such as map.html.")
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed gives the same map.")
def map_command(index: str, output: str, seed: int) -> None:
    """Write a map of the pictures of INDEX as one page for the browser.

    \b
    Example:
      dmzrep map photos.index -o map.html
    """
    from dmzrep.app.pages import write_map

    write_map(load_collection(index), output, random_state=seed, progress=is_shown())
    click.echo(f"{output}: {size_of(output)}", err=True)


@dmzrep.command()
@click.argument("source", type=click.Path(exists=True))
@click.option("-o", "--output", type=OUTPUT, required=True, help="File of the page, such as report.html.")
@click.option(
    "-m", "--model", type=FILE, help="Model file of `dmzrep fit`; without it, one is trained first."
)
@click.option("--minutes", type=click.FloatRange(0), default=5.0, show_default=True, help="Training time.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of training, clusters and map.")
def report(source: str, output: str, model: str | None, minutes: float, seed: int) -> None:
    """Write a report on SOURCE, a folder or an index, for the browser.

    It shows duplicates (mirrored ones too), outliers and clusters; a map of all images becomes a second page.

    \b
    Examples:
      dmzrep report photos -o report.html
      dmzrep report photos.index -o report.html
    """
    from dmzrep.app.pages import write_map, write_report
    from dmzrep.collection import ImageCollection
    from dmzrep.estimator import DMZEncoder

    if Path(source).is_file():
        collection = load_collection(source)
    else:
        encoder = DMZEncoder.load(model) if model else fit_encoder(source, minutes, seed, reader={})
        collection = ImageCollection(encoder).fit(source, progress=is_shown())
    page = Path(output)
    map_page = page.with_name(f"{page.stem}-map{page.suffix}")
    link = quote(map_page.name)
    write_report(collection, page, map_page=link, random_state=seed, progress=is_shown())
    click.echo(f"{page}: {len(collection.files_)} pictures, {size_of(page)}", err=True)
    write_map(collection, map_page, random_state=seed, progress=is_shown())
    click.echo(f"{map_page}: {size_of(map_page)}", err=True)
