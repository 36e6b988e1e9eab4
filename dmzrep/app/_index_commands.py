"""Subcommands on indexes of folders: index, search, duplicates, outliers, map, report."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import click

from dmzrep.app._group import FILE, FOLDER, OUTPUT, dmzrep, fit_encoder, is_shown, load_collection
from dmzrep.app._output import choices, print_duplicates, print_table, size_of


@dmzrep.command()
@click.argument("folder", type=FOLDER)
@click.option("-m", "--model", type=FILE, help="Model of `dmzrep fit`; not needed to update an index.")
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
        raise click.UsageError(f"There is no index {output} to update. Name the model of a new one with -m.")
    else:
        collection = ImageCollection(DMZEncoder.load(model)).fit(folder, progress=is_shown())
        done = f"{len(collection.files_)} pictures"
    collection.save(output)
    unreadable = len(collection.unreadable_)
    click.echo(
        f"{output}: {done}{f', {unreadable} unreadable (dmzrep info)' if unreadable else ''}", err=True
    )


@dmzrep.command()
@click.argument("index", type=FILE)
@click.argument("pictures", type=FILE, nargs=-1, required=True)
@click.option("-k", type=click.IntRange(1), default=10, show_default=True, help="Number of results.")
@click.option("--without", type=FILE, multiple=True, help="A picture unlike which the results should be.")
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
@click.option("--across", type=FOLDER, nargs=2, help="Two folders; only what is in both is listed.")
@click.option("--mirrored", is_flag=True, help="A mirrored picture is the same.")
@click.option(
    "--max-false-pairs", type=click.FloatRange(0), help="Acceptable expected number of wrong pairs."
)
@choices
def duplicates(
    index: str,
    tier: str,
    across: tuple[str, str] | None,
    mirrored: bool,
    max_false_pairs: float | None,
    form: str,
) -> int:
    """List groups of duplicates of INDEX, small groups first, with one picture to keep.

    --paths lists the pictures that need not be kept. The threshold is calibrated on edited copies of the
    pictures of INDEX.

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
@click.argument("folder", type=FOLDER)
@click.option("-o", "--output", type=OUTPUT, required=True, help="File of the page, such as report.html.")
@click.option("-m", "--model", type=FILE, help="Model of `dmzrep fit`; without it, one is trained first.")
@click.option("--minutes", type=click.FloatRange(0), default=5.0, show_default=True, help="Time of training.")
@click.option("--seed", type=int, default=0, show_default=True)
def report(folder: str, output: str, model: str | None, minutes: float, seed: int) -> None:
    """Write duplicates, outliers and clusters of FOLDER as one page for the browser, and a map as another.

    \b
    Example:
      dmzrep report photos -o report.html
    """
    from dmzrep.app.pages import write_map, write_report
    from dmzrep.collection import ImageCollection
    from dmzrep.estimator import DMZEncoder

    encoder = DMZEncoder.load(model) if model else fit_encoder(folder, minutes, seed, reader={})
    collection = ImageCollection(encoder).fit(folder, progress=is_shown())
    page = Path(output)
    map_page = page.with_name(f"{page.stem}-map{page.suffix}")
    write_report(collection, page, map_page=quote(map_page.name), random_state=seed, progress=is_shown())
    click.echo(f"{page}: {len(collection.files_)} pictures, {size_of(page)}", err=True)
    write_map(collection, map_page, random_state=seed, progress=is_shown())
    click.echo(f"{map_page}: {size_of(map_page)}", err=True)
