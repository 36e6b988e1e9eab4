"""Labels of pictures from a table."""

import pandas as pd
import pytest

from dmzrep.app.explorer._attribute_labels import binary_columns, match_paths, read_labels


def test_labels_match_by_the_end_of_one_path():
    paths = ["/a/x/1.png", "/a/y/1.png", "C:\\b\\2.png"]
    wanted = ["/a/x/1.png", "1.png", "./y/1.png", "2.png", "b/2.png", "22.png"]
    assert match_paths(wanted, paths).tolist() == [0, -1, 1, 2, 2, -1]


def test_binary_columns():
    table = pd.DataFrame({"a": [0, 1, None], "b": [True, False, True], "c": [1, 2, 0], "d": ["x", "0", "1"]})
    assert list(binary_columns(table)) == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,smile\n1.png,1\n", "need a column 'path', got the columns"),
        ("path,smile\nother.png,1\n", "None of the 1 paths of the labels is in the collection"),
        ("path,smile\n1.png,1\n2.png,1\n", "need a column of zeros and ones, with both values"),
        ("", "cannot be read as a CSV file"),
    ],
)
def test_wrong_labels_are_explained(tmp_path, text, message):
    path = tmp_path / "labels.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_labels(path, ["/a/1.png", "/a/2.png"])


def test_rows_without_a_picture_are_counted(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("path,smile\n1.png,1\n2.png,0\n3.png,1\n")
    rows, labels, note = read_labels(path, ["/a/1.png", "/a/2.png"])
    assert rows.tolist() == [0, 1] and labels["smile"].tolist() == [1.0, 0.0]
    assert "2 of 2 pictures have labels. 1 rows match no single picture" in note
