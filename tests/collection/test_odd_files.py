"""Folders of odd files: each one is read or listed with its reason, nothing blocks, memory is bounded."""

import json
import subprocess
import sys
import warnings

import numpy as np
import pytest

from dmzrep import ImageReader
from dmzrep.datasets import load_images
from tests.encoders import make_encoder

pytest.importorskip("PIL")
odd_files = pytest.importorskip("tests.collection.odd_files", reason="needs POSIX", exc_type=ImportError)
pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="pipes, links and names of POSIX"),
    pytest.mark.filterwarnings("ignore"),
]

#: Peak memory of a process that loads the folder with one reader, in MiB; 400 to 500 after the imports. Which
#: of the largest pictures several readers hold at the same time is a matter of chance.
MOST_MIB = 1280
#: Loads a folder in a process of its own, since its peak memory counts and a pipe might block it.
LOAD = """
import json, resource, sys
from dmzrep.datasets import load_images
data = load_images(sys.argv[1], (24, 32), cache_dir=sys.argv[2], n_jobs=1)
try:  # The maximum of getrusage counts the process that started this one.
    status = open("/proc/self/status").read()
    peak = int(status.split("VmHWM:")[1].split()[0]) / 2**10
except OSError:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
print(json.dumps({"read": data.filenames.tolist(), "listed": data.unreadable, "mib": peak}))
"""
#: Words of the reasons for which files are listed.
REASONS = {
    "broken link.png": "No such file",
    "link to itself.png": "symbolic links",
    "link to a device.png": "device",
    "link to the parent": "a link to a folder",
    "pipe.jpg": "pipe",
    "PHOTO.HEIC": "dmzrep[heic]",
    "raw.CR2": "export them as JPEG",
    "empty.jpg": "cannot identify image file",
    "32 bits.tif": "no known range; convert it to 8 or 16 bits",
    "float.tif": "no known range; convert it to 8 or 16 bits",
}


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """The folder, what is expected of its files, and the cache folder in which it was loaded."""
    place = tmp_path_factory.mktemp("odd")
    expected = odd_files.write_odd_files(place / "odd files")
    yield place / "odd files", expected, place / "cache"
    odd_files.restore_permissions(place / "odd files")


@pytest.fixture(scope="module")
def loaded(odd):
    folder, _, cache = odd
    command = [sys.executable, "-c", LOAD, str(folder), str(cache)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    # A file is named in the package's own warning alone, not in one of Pillow for each.
    lines = [line for line in done.stderr.splitlines() if "Warning: " in line]
    return json.loads(done.stdout), lines


def check_lists(expected, read, listed):
    """Check that each file is read or listed as expected, and no other one."""
    must_read = {name for name, what in expected.items() if what.startswith("read") and "or" not in what}
    must_list = {name for name, what in expected.items() if what == odd_files.UNREADABLE}
    either = {name for name, what in expected.items() if what == odd_files.EITHER}
    assert not must_read - read and not must_list - listed
    assert not read & listed and either <= read | listed <= must_read | must_list | either


def test_each_file_is_read_or_listed_with_its_reason(odd, loaded):
    result, warned = loaded
    assert len(odd[1]) > 100
    check_lists(odd[1], set(result["read"]), set(result["listed"]))
    assert all(reason.strip() for reason in result["listed"].values())
    assert [name for name, words in REASONS.items() if words not in result["listed"][name]] == []
    assert len(warned) == 1 and "could not be read" in warned[0]
    assert result["mib"] < MOST_MIB


def test_warnings_as_errors_change_nothing(tmp_path):
    odd_files.scene().save(tmp_path / "good.png")
    odd_files.save_with_damaged_exif(tmp_path / "damaged exif.jpg")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data = load_images(tmp_path, 16, cache_dir=tmp_path / "cache")
    assert data.filenames.tolist() == ["damaged exif.jpg", "good.png"]


def test_pictures_show_what_they_should(odd, loaded):
    folder, expected, cache = odd
    data = load_images(folder, (24, 32), cache_dir=cache)
    rows = {name: row for row, name in enumerate(data.filenames)}
    scenes = [n for n, what in expected.items() if what in (odd_files.SCENE, odd_files.GREY_SCENE)]
    wrong = {n: odd_files.differs(data.images[rows[n]], expected[n]) for n in scenes if n in rows}
    assert {name: difference for name, difference in wrong.items() if difference > 30} == {}


def test_fuzzed_headers_do_not_crash(odd, tmp_path):
    folder, expected, _ = odd
    random = np.random.default_rng(1)
    names = [name for name, what in expected.items() if what == odd_files.SCENE and "/" not in name]
    for name in names:
        content = (folder / name).read_bytes()
        for i in range(3):
            (tmp_path / f"{i} {name}").write_bytes(odd_files.fuzz(content, random, within=256))
    data = load_images(tmp_path, 16, cache_dir=tmp_path / "cache")
    assert len(data.images) + len(data.unreadable) == 3 * len(names)
    assert len(data.images) and len(data.unreadable)


@pytest.fixture(scope="module")
def collection(odd, loaded):
    from dmzrep.collection import ImageCollection

    folder, _, cache = odd
    encoder = make_encoder(16, image_reader=ImageReader(16, cache_dir=cache), max_iter=0)
    return ImageCollection(encoder.fit(folder)).fit(folder)


def test_a_collection_has_or_lists_each_file(odd, collection):
    folder, expected, _ = odd
    read, listed = (
        {str(path)[len(str(folder)) + 1 :] for path in table["path"]}
        for table in (collection.files_, collection.unreadable_)
    )
    # Of a link and the file that it points to, a collection has the file.
    check_lists(expected | {"link to a file.png": odd_files.UNREADABLE}, read, listed)
    assert collection.unreadable_["reason"].str.strip().ne("").all()
    assert len(collection.thumbnails_) == len(collection.files_) == len(collection.codes_)


def test_a_collection_of_odd_files_works(odd, collection, tmp_path):
    folder, _, _ = odd
    assert set(collection.update()["change"]) <= {"unreadable"}
    found = collection.duplicates()
    again = type(collection).load(collection.save(tmp_path / "odd.index") or tmp_path / "odd.index")
    same = found[found["tier"] == "same_bytes"]["path"].tolist()
    assert {str(folder / "real/picture.png"), str(folder / "hard link.png")} & set(same)
    assert len(collection.outliers()) and again.files_["path"].tolist() == collection.files_["path"].tolist()
