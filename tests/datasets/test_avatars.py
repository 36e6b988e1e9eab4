"""The avatars that are part of the package."""

from dmzrep.datasets import load_avatars


def test_avatars_have_binary_attributes_and_the_notice_of_the_artwork():
    data = load_avatars()
    X, Y = load_avatars(return_X_y=True)
    assert X.shape == (4000, 32, 32, 3) and X.dtype == "uint8" and (data.images == X).all()
    assert Y.shape == (4000, 47) and Y.isin([0, 1]).all(axis=None) and Y.equals(data.attributes)
    assert all(isinstance(name, str) and name in data.DESCR for name in Y.columns)
    # Each attribute has enough positives for a probe, and images are not in an order of attributes.
    assert Y.iloc[:1000].sum().min() > 10 and Y.iloc[-500:].sum().min() > 5
    assert "Pablo Stanley" in data.DESCR and "Free for personal and commercial use" in data.DESCR


def test_attributes_describe_the_images():
    X, Y = load_avatars(return_X_y=True)
    background = X[:, 0, 0].astype(float)
    cool = Y["cool_background"] == 1
    assert background[cool, 0].max() < background[~cool, 0].min()  # Cool backgrounds have less red.
