"""The map and the report, in a browser."""

import base64
import io
import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from dmzrep.app.pages._decoded import choose_exemplars, place_codes
from dmzrep.app.pages._layout import snap_to_grid
from dmzrep.app.pages._page import as_json, write_map, write_report
from dmzrep.data import ImageFormat
from dmzrep.datasets import make_sprites

N, BITS = 150, 16
HOSTILE = """/photos/Ünï 'quoted' "<b>bold</b>" & </script><script>boom()</script>/日本 0.jpg"""
WIDE, NARROW = {"width": 1400, "height": 900}, {"width": 400, "height": 800}


class FakeEncoder:
    """Decodes a code to a picture with one bright square per set bit."""

    def __init__(self, is_trained=True):
        self.decoder_ = SimpleNamespace(
            is_trained=is_trained, data_format=ImageFormat("HW", (1, 32, 32), False, "uint8", 0.0, 255.0)
        )

    def inverse_transform(self, Z, *, noise, n_steps):
        assert noise == "zero"
        images = np.asarray(Z, dtype=np.uint8).reshape(-1, 4, 4) * 200 + 20
        return np.repeat(np.repeat(images, 8, axis=1), 8, axis=2)


class FakeCollection:
    """The attributes of an `ImageCollection`, from arrays."""

    metric_ = "cosine"

    def __init__(self, encoder):
        Image = pytest.importorskip("PIL.Image")
        rng = np.random.default_rng(0)
        self.encoder = encoder
        sprites = make_sprites(N, side=48, random_state=0)
        self.images = sprites.images
        self.thumbnails_ = []
        for i, image in enumerate(self.images):
            buffer = io.BytesIO()
            # Every third picture is wide.
            Image.fromarray(image[: 32 if i % 3 == 0 else 48]).save(buffer, "WEBP", quality=90)
            self.thumbnails_.append(buffer.getvalue())
        self.logits_ = rng.normal(size=(N, BITS)).astype(np.float16)
        self.codes_ = (self.logits_ > 0).astype(np.uint8)
        paths = [HOSTILE, *(f"/photos/some folder/IMG_{i:04d}.jpg" for i in range(1, N))]
        columns = {"width": 640, "height": 480, "bytes": 1000 + np.arange(N), "format": "JPEG"}
        self.files_ = pd.DataFrame({"path": paths, **columns})
        self.labels = [*["</script><i>warm</i>"] * 75, *["cold"] * 74, None]
        reasons = {"path": ["/photos/</script>.jpg"], "reason": ["truncated after 12 bytes"]}
        self.unreadable_ = pd.DataFrame(reasons)

    def map_(self, method="tsne", random_state=0):
        x, y = np.random.default_rng(1).normal(size=(2, N))
        return pd.DataFrame({"path": self.files_["path"], "x": x, "y": y}).sample(frac=1, random_state=0)

    def neighbors(self, k=10):
        return (np.arange(N)[:, None] + np.arange(1, k + 1)) % N

    def clusters(self, n_clusters="auto", random_state=0):
        cluster = np.arange(N) % 5
        return pd.DataFrame({"path": self.files_["path"], "cluster": cluster, "is_centre": np.arange(N) < 5})

    def information(self):
        return np.arange(N) * 1.0

    def outliers(self, n=None):
        paths = self.files_["path"].to_numpy()
        rare = pd.DataFrame({"path": paths[::-1][:n], "kind": "rare", "score": self.information()[::-1][:n]})
        dark = pd.DataFrame({"path": paths[:2], "kind": "dark", "score": [0.01, 0.02]})
        return pd.concat([rare, dark], ignore_index=True)

    def duplicates(self, tier="same", across=None, mirrored=False, max_false_pairs=None):
        # The tier of a keeper is that of its group.
        groups = {
            "same": [
                {0: "same_bytes", 1: "same_bytes"},
                {5: "same_picture", 6: "same_picture", 7: "same_bytes"},
            ],
            "similar": [{20: "similar", 21: "similar"}],
        }[tier]
        rows = [
            {
                "group": g,
                "tier": name,
                "distance": 0.0 if name == "same_bytes" else 0.01 * j,
                "mirrored": i == 6,
                "keep": j == 0,
                **self.files_.loc[i],
            }
            for g, members in enumerate(groups)
            for j, (i, name) in enumerate(members.items())
        ]
        frame = pd.DataFrame(rows)
        frame.attrs.update(threshold=0.05, expected_false_pairs=0.25)
        return frame


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    collection = FakeCollection(FakeEncoder())
    write_map(collection, folder / "map.html", labels=collection.labels)
    write_report(collection, folder / "report.html")
    untrained = FakeCollection(FakeEncoder(is_trained=False))
    write_map(untrained, folder / "untrained_map.html")
    write_report(untrained, folder / "untrained_report.html")
    return folder


@pytest.fixture
def visit(browser, pages):
    """Open a page, and check at the end that it had no errors and asked for no other file."""
    contexts, messages, requests = [], [], []

    def open_page(name, viewport=WIDE, **options):
        contexts.append(browser.new_context(viewport=viewport, reduced_motion="reduce", **options))
        page = contexts[-1].new_page()
        page.on("console", lambda message: messages.append(message.text))
        page.on("pageerror", lambda error: messages.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto((pages / name).as_uri())
        page.wait_for_selector("html[data-loaded]", state="attached")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert messages == []
    assert [url for url in requests if not url.startswith(("file:", "data:", "blob:"))] == []


def pixels(page, selector="#canvas"):
    """Return the pixels of a canvas, shape (height, width, 4)."""
    from PIL import Image

    page.evaluate("new Promise(requestAnimationFrame)")
    address = page.locator(selector).first.evaluate("canvas => canvas.toDataURL()")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))).convert("RGBA"))


def place_of(page, i):
    """Return where picture i is on the page."""
    x, y = page.evaluate(f"mosaic.position({i}, mosaic.level())")
    box = page.locator("#canvas").bounding_box()
    return box["x"] + x, box["y"] + y


def shown_picture(page):
    """Return a picture that the map shows for itself, near the middle."""
    return page.evaluate("mosaic.nearest(mosaic.width / 2, mosaic.height / 2)")


def test_the_map_draws_thumbnails(visit):
    page = visit("map.html")
    i = shown_picture(page)
    page.evaluate(f"mosaic.flyTo({i})")
    page.mouse.move(5, 5)
    shown = pixels(page)
    side = int(page.evaluate("mosaic.view.scale"))
    top, left = (shown.shape[0] - side) // 2, (shown.shape[1] - side) // 2
    tile = shown[top : top + side, left : left + side, :3].astype(float)
    image = FakeCollection(FakeEncoder()).images[i][: 32 if i % 3 == 0 else 48]
    # The middle row of the tile is the middle row of the picture.
    middle = tile[side // 2 - 2 : side // 2 + 3, 4:-4].mean(axis=0)
    expected = image[len(image) // 2 - 1 : len(image) // 2 + 1].mean(axis=0)
    at = np.linspace(0, len(middle) - 1, 48).round().astype(int)
    assert np.abs(middle[at] - expected).mean() < 25


def test_hover_shows_picture_path_code_and_decoded_place(visit):
    page = visit("map.html")
    i = shown_picture(page)
    page.mouse.move(*place_of(page, i))
    card = page.locator("#card")
    assert page.evaluate(f"data.files.path[{i}]") in card.inner_text()
    assert card.locator("figcaption").all_inner_texts() == ["picture", "decoded here", "code"]
    code = pixels(page, "#card .code")
    assert code.shape[:2] == (4, 4) and len(np.unique(code[..., 0])) == 2
    page.mouse.move(20, 20)
    assert not card.is_visible()


def test_click_shows_the_nearest_pictures(visit):
    page = visit("map.html")
    i = shown_picture(page)
    page.mouse.click(*place_of(page, i))
    panel = page.locator("#selected")
    assert panel.locator(".path").inner_text() == page.evaluate(f"data.files.path[{i}]")
    buttons = panel.locator(".near button")
    assert buttons.count() == 12
    assert len(np.unique(pixels(page, "#selected .near canvas")[..., :3].reshape(-1, 3), axis=0)) > 20
    buttons.nth(2).click()
    assert f"IMG_{(i + 3) % N:04d}" in panel.locator(".path").inner_text()
    assert page.evaluate("mosaic.selected") == (i + 3) % N


def test_wheel_and_drag_zoom_and_move(visit):
    page = visit("map.html")
    scale = page.evaluate("mosaic.view.scale")
    page.mouse.move(500, 450)
    before = pixels(page)
    anchor = page.evaluate("mosaic.toMap(500, 450 - canvas.getBoundingClientRect().top)")
    page.mouse.wheel(0, -240)
    page.wait_for_timeout(100)
    assert page.evaluate("mosaic.view.scale") > 1.3 * scale
    # The place under the pointer stays there.
    moved = page.evaluate("mosaic.toMap(500, 450 - canvas.getBoundingClientRect().top)")
    assert moved == pytest.approx(anchor)
    assert (pixels(page) != before).mean() > 0.05
    x = page.evaluate("mosaic.view.x")
    page.mouse.down()
    page.mouse.move(560, 450, steps=4)
    page.mouse.up()
    assert page.evaluate("mosaic.view.x") == pytest.approx(x + 60, abs=6)
    assert page.evaluate("mosaic.selected") == -1
    page.click("#zoom-fit")
    assert page.evaluate("mosaic.view.scale") == pytest.approx(scale)


def test_two_fingers_zoom(visit):
    page = visit("map.html", NARROW, has_touch=True)
    scale = page.evaluate("mosaic.view.scale")
    session = page.context.new_cdp_session(page)
    for kind, reach in [("touchStart", 40), ("touchMove", 60), ("touchMove", 80), ("touchEnd", None)]:
        points = [] if reach is None else [{"x": 200 - reach, "y": 350}, {"x": 200 + reach, "y": 350}]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    assert page.evaluate("mosaic.view.scale") == pytest.approx(2 * scale, rel=0.1)


def test_zooming_in_shows_every_picture(visit):
    page = visit("map.html")
    level = page.evaluate("(mosaic.zoom(4), mosaic.level())")
    assert level == 0
    assert page.evaluate("mosaic.levels[0].rep.filter((i) => i >= 0).length") == N
    assert page.evaluate("mosaic.levels.at(-1).many[0]") == N


def test_search_finds_a_path(visit):
    page = visit("map.html")
    page.fill("#search", "img_0042")
    assert page.locator("#matches .match").count() == 1
    page.press("#search", "Enter")
    assert "IMG_0042.jpg" in page.locator("#selected .path").inner_text()
    x, y = page.evaluate("mosaic.position(42)")
    assert (x, y) == pytest.approx(page.evaluate("[mosaic.width / 2, mosaic.height / 2]"), abs=2)
    page.fill("#search", "日本")
    page.locator("#matches .match").click()
    assert page.locator("#selected .path").inner_text() == HOSTILE
    page.fill("#search", "no such name")
    assert page.locator("#matches").inner_text() == "No matching path."


def test_colours_have_a_legend_that_highlights(visit):
    page = visit("map.html")
    assert page.locator("#colour option").all_inner_texts() == ["none", "label", "cluster", "rarity"]
    plain = pixels(page)
    page.select_option("#colour", "label")
    names = page.locator("#legend .item span").all_inner_texts()
    assert names == ["</script><i>warm</i>", "cold", "unlabelled"]
    coloured = pixels(page)
    assert (coloured != plain).any(axis=2).mean() > 0.01
    page.locator("#legend .item").first.click()
    assert (pixels(page) != coloured).any(axis=2).mean() > 0.01
    page.select_option("#colour", "rarity")
    assert page.locator("#legend").inner_text().split() == ["common", "rare"]


def test_the_map_shows_decoded_places(visit):
    page = visit("map.html")
    pictures = pixels(page)
    page.click("#show-decoded")
    page.wait_for_timeout(100)
    decoded = pixels(page)
    assert (decoded != pictures).any(axis=2).mean() > 0.05
    # Decoded pictures are gray.
    assert np.abs(decoded[..., 0].astype(int) - decoded[..., 1]).max() < 12
    page.mouse.move(*place_of(page, shown_picture(page)))
    assert page.locator("#card figcaption").first.inner_text() == "decoded here"
    first = pixels(page, "#card canvas")
    page.mouse.move(*place_of(page, page.evaluate("mosaic.nearest(200, 300)")))
    assert (pixels(page, "#card canvas") != first).any()


@pytest.mark.parametrize("name", ["map.html", "report.html"])
def test_a_switched_bit_changes_the_decoded_picture(visit, name):
    page = visit(name)
    unchanged, switched = ".stages figure:nth-child(2) canvas", ".stages figure:nth-child(3) canvas"
    assert (pixels(page, unchanged) == pixels(page, switched)).all()
    page.locator(".bit-grid button").nth(5).click()
    size = pixels(page, switched).shape[0] // 4
    change = np.abs(pixels(page, unchanged).astype(int) - pixels(page, switched))[..., 0]
    # Bit 5 is the square in row 1 and column 1; smoothing and compression change a little around it.
    by_square = change[: 4 * size, : 4 * size].reshape(4, size, 4, size).mean(axis=(1, 3))
    assert by_square[1, 1] > 120 and np.delete(by_square.ravel(), 5).max() < 20
    assert page.locator(".status").inner_text().startswith("Bit 5: ")
    page.locator(".exemplars button").nth(1).click()
    assert page.locator(".status").inner_text() == "No bit is switched."


@pytest.mark.parametrize("name", ["untrained_map.html", "untrained_report.html"])
def test_pages_without_a_decoder_say_so(visit, name):
    page = visit(name)
    assert "has not been trained" in page.locator("#no-decoder").inner_text()
    assert page.locator(".switcher").count() == 0
    if "map" in name:
        assert page.locator("#show-decoded").is_disabled()


def test_the_report_keeps_tiers_apart(visit):
    page = visit("report.html")
    tiers = {"same-bytes": [2], "same-picture": [3], "similar": [2]}
    for tier, sizes in tiers.items():
        groups = page.locator(f"#{tier} .group")
        assert [groups.nth(g).locator(".member").count() for g in range(groups.count())] == sizes
    assert page.locator("#same-bytes .path").first.inner_text() == HOSTILE
    members = page.locator("#same-picture .member")
    assert members.nth(0).locator(".tag").inner_text() == "suggested to keep"
    assert members.nth(1).locator(".tag").inner_text() == "same bytes"
    assert members.nth(2).locator(".tag").inner_text() == "distance 0.01, mirrored"
    assert "480, JPEG, 1.0 kB" in members.nth(0).inner_text()
    assert "0.05" in page.locator("#same-picture .note").inner_text()
    assert "false pairs 0.25" in page.locator("#same-picture .note").inner_text()
    page.wait_for_selector("#same-picture .member:nth-child(3) p:text('differ')")
    assert len(np.unique(pixels(page, "#same-picture .difference")[..., 1])) > 10


def test_the_report_shows_outliers_clusters_and_unreadable_files(visit):
    page = visit("report.html")
    assert page.locator("#outliers h3").all_inner_texts() == ["Rare", "Dark"]
    assert page.locator("#outliers .tiles").nth(0).locator(".tile").count() == 12
    page.locator("#outliers .more").first.click()
    assert page.locator("#outliers .tiles").nth(0).locator(".tile").count() == 24
    assert page.locator("#clusters .cluster").count() == 5
    cells = page.locator("#unreadable td").all_inner_texts()
    assert cells == ["/photos/</script>.jpg", "truncated after 12 bytes"]


@pytest.mark.parametrize("name", ["map.html", "report.html"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_fit_a_narrow_screen(visit, name, scheme):
    page = visit(name, NARROW, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]
    if name == "map.html":
        stage, panel = (page.locator(s).bounding_box() for s in ("#stage", "#panel"))
        assert panel["y"] >= stage["y"] + stage["height"]


def test_cells_of_the_mosaic_are_distinct_and_near():
    positions = np.random.default_rng(0).uniform(size=(500, 2))
    positions[:40] = positions[0]
    cells, size = snap_to_grid(positions)
    assert len(np.unique(cells, axis=0)) == 500 and cells.max() < size
    moved = np.linalg.norm(positions * size - cells - 0.5, axis=1)
    assert np.median(moved) < 1.5
    # 40 equal positions take about 40 adjacent cells.
    assert np.ptp(cells[:40].astype(int), axis=0).max() < 10


def test_places_have_the_code_of_the_pictures_around_them():
    cells = np.array([[0, 0], [9, 9]], dtype=np.uint16)
    logits = np.array([[5.0, -5.0], [-5.0, 5.0]])
    n_side, index, bits = place_codes(cells, 10, logits)
    assert n_side == 10 and index[0, 9] == -1
    assert bits[index[0, 0]].tolist() == [1, 0] and bits[index[9, 9]].tolist() == [0, 1]


def test_exemplars_are_bounded_by_the_length_of_codes():
    assert choose_exemplars(64, [3, 9], 100)[:2] == [3, 9]
    assert len(choose_exemplars(64, range(50), 100)) == 6
    assert len(choose_exemplars(256, range(50), 100)) == 1
    assert len(choose_exemplars(5000, [], 100)) == 1


def test_json_can_stand_in_markup():
    text = as_json([HOSTILE, "\u2028", "\udc80"])
    assert not set("<>&\u2028") & set(text) and text.isascii()
    assert json.loads(text) == [HOSTILE, "\u2028", "\udc80"]


@pytest.mark.parametrize(("labels", "message"), [("kind", "columns are path"), ([1, 2], "150"), (3, "150")])
def test_wrong_labels_are_refused(tmp_path, labels, message):
    with pytest.raises(ValueError, match=message):
        write_map(FakeCollection(FakeEncoder()), tmp_path / "map.html", labels=labels)
