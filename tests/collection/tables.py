"""Tables of collections in tests."""


def names(table):
    """Return the file names of a table's paths."""
    return [path.rsplit("/", 1)[1] for path in table["path"]]
