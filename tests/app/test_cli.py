"""The command line, as used from a shell."""

import json
import os
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("click")
Image = pytest.importorskip("PIL.Image")

from dmzrep import DMZEncoder  # noqa: E402
from dmzrep.app import main  # noqa: E402
from dmzrep.app._group import dmzrep  # noqa: E402
from dmzrep.collection import ImageCollection  # noqa: E402
from tests.collection.conftest import EDITED, write_pictures  # noqa: E402

GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "collections.md"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with photos, a model and an index."""
    place = tmp_path_factory.mktemp("shell")
    write_pictures(place / "photos")
    environment = pytest.MonkeyPatch()
    environment.setenv("XDG_CACHE_HOME", str(place / "cache"))
    model, index = str(place / "model.safetensors"), str(place / "photos.index")
    fit = ["fit", str(place / "photos"), "-o", model, "--bits", "16", "--size", "32", "--minutes", "0"]
    assert main(fit) == 0
    (place / "photos" / "empty.png").write_bytes(b"")
    assert main(["index", str(place / "photos"), "-m", model, "-o", index]) == 0
    yield place
    environment.undo()


def lines(capsys):
    return capsys.readouterr().out.splitlines()


def test_duplicates_as_json_name_each_picture_once(place, capsys):
    assert main(["duplicates", str(place / "photos.index"), "--mirrored", "--json"]) == 0
    rows = [json.loads(line) for line in lines(capsys)]
    assert len({row["path"] for row in rows}) == len(rows) == 2 * len(EDITED)
    assert {"path", "group", "tier", "distance", "keep"} <= set(rows[0])
    assert {row["tier"] for row in rows} == {"same_bytes", "same_picture"}
    assert all(os.path.isabs(row["path"]) for row in rows)


def test_paths_of_duplicates_are_those_that_need_not_be_kept(place, capsys):
    assert main(["duplicates", str(place / "photos.index"), "--paths"]) == 0
    paths = lines(capsys)
    assert len(paths) == len(EDITED) - 1 and all(os.path.exists(path) for path in paths)


def test_search_prints_a_table_paths_or_json(place, capsys):
    query = [str(place / "photos.index"), str(place / "photos" / "b" / "crop.png"), "-k", "3"]
    assert main(["search", *query]) == 0
    table = lines(capsys)
    assert table[0].split() == ["rank", "distance", "width", "height", "bytes", "format", "path"]
    assert table[1].endswith("01.png") and len(table) == 4
    assert main(["search", *query, "--paths"]) == 0
    paths = lines(capsys)
    assert main(["search", *query, "--json"]) == 0
    assert [json.loads(line)["path"] for line in lines(capsys)] == paths


def test_nothing_found_is_exit_code_1(place, capsys):
    folders = [str(place / "photos" / name) for name in ("b", "c")]
    Path(folders[1]).mkdir(exist_ok=True)
    shutil.copy(place / "photos" / "a" / "30.png", folders[1])
    index = str(place / "other.index")
    assert main(["index", folders[1], "-m", str(place / "model.safetensors"), "-o", index]) == 0
    assert main(["duplicates", index, "--json"]) == 1
    assert lines(capsys) == []
    shutil.rmtree(folders[1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["search", "missing.index", "x.png"], "missing.index"),
        (
            ["index", "{place}/photos", "-o", "{place}/no.index"],
            "To create a new index, pass a model with -m",
        ),
        (["sample", "{place}/model.safetensors", "-o", "{place}/grid.png"], "not trained"),
        (["sample", "{place}/model.safetensors", "-o", "{place}/grid.xyz"], "extension of an image format"),
        (
            ["search", "{place}/model.safetensors", "{place}/photos/a/00.png"],
            "holds a DMZEncoder, not",
        ),
        (
            ["encode", "{place}/model.safetensors", "{place}/photos", "-o", "{place}/codes.csv"],
            "must end with",
        ),
        (["duplicates", "{place}/photos.index", "--tier", "equal"], "equal"),
        (["unknown"], "unknown"),
    ],
)
def test_wrong_use_is_exit_code_2_with_a_sentence(place, capsys, arguments, message):
    assert main([argument.format(place=place) for argument in arguments]) == 2
    error = capsys.readouterr().err
    assert re.search(message, error) and "Traceback" not in error


def test_codes_of_a_folder_are_those_of_the_model(place, capsys):
    model = str(place / "model.safetensors")
    for name in ("codes.npz", "codes.parquet"):
        assert main(["encode", model, str(place / "photos" / "a"), "-o", str(place / name)]) == 0
    codes = np.load(place / "codes.npz")
    expected = DMZEncoder.load(model).transform(codes["path"].tolist()) > 0.5
    np.testing.assert_array_equal(codes["bits"], expected)
    table = pd.read_parquet(place / "codes.parquet")
    np.testing.assert_array_equal(table.drop(columns="path"), codes["bits"])


def test_info_describes_models_and_indexes(place, capsys):
    assert main(["info", str(place / "photos.index"), "--json"]) == 0
    index = json.loads(capsys.readouterr().out)
    assert index["kind"] == "index" and index["pictures"] == 47 and index["bits"] == 16
    assert [Path(path).name for path in index["unreadable"]] == ["empty.png"]
    assert main(["info", str(place / "model.safetensors")]) == 0
    assert "filter: lanczos" in capsys.readouterr().out


def test_an_index_is_updated(place, capsys, tmp_path):
    photos = shutil.copytree(place / "photos", tmp_path / "photos")
    index = str(tmp_path / "photos.index")
    assert main(["index", str(photos), "-m", str(place / "model.safetensors"), "-o", index]) == 0
    (photos / "a" / "00.png").unlink()
    shutil.copy(photos / "a" / "01.png", photos / "a" / "99.png")
    assert main(["index", str(photos), "-o", index]) == 0
    assert "1 deleted" in (said := capsys.readouterr().err) and "1 new" in said
    assert str(photos / "a" / "99.png") in ImageCollection.load(index).files_["path"].tolist()


def test_pictures_are_drawn_from_a_trained_model(place, capsys):
    model, grid = str(place / "trained.safetensors"), str(place / "grid.png")
    fit = [
        "fit",
        str(place / "photos" / "a"),
        "-o",
        model,
        "--bits",
        "8",
        "--size",
        "16",
        "--minutes",
        "0.02",
    ]
    assert main(fit) == 0
    assert main(["sample", model, "-n", "5", "-o", grid, "--steps", "2"]) == 0
    with Image.open(grid) as picture:
        assert picture.size == (48, 32)


def test_a_report_of_an_index_links_its_map(place, capsys):
    page = place / "report.html"
    assert main(["report", str(place / "photos.index"), "-o", str(page)]) == 0
    assert "report-map.html" in page.read_text() and (place / "report-map.html").exists()


def test_help_names_the_subcommands(capsys):
    assert main(["--help"]) == 0
    overview = capsys.readouterr().out
    assert len(dmzrep.commands) == 11 and "\\b" not in overview
    for name in dmzrep.commands:
        assert f"  {name} " in overview
        assert main([name, "--help"]) == 0
        shown = capsys.readouterr().out
        assert "Example" in shown and "\\b" not in shown


def test_the_commands_of_the_guide_work(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write_pictures(tmp_path / "photos")
    shutil.copy("photos/a/00.png", "photos/beach.jpg")
    blocks = re.findall(r"```bash\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    commands = [line for block in blocks for line in block.splitlines()]
    assert len(commands) >= 9
    for command in commands:
        arguments = shlex.split(command.replace("--minutes 5", "--minutes 0"))
        assert arguments[0] == "dmzrep"
        assert main(arguments[1:]) == 0, command
    assert Path("map.html").stat().st_size > 10_000
