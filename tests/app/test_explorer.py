"""The page of the explorer, in a browser."""

import gc
import subprocess
import sys
from pathlib import Path

import pytest

from dmzrep.app.explorer import build_explorer, explore
from tests.encoders import make_encoder

TINY = {"width": (8, 16), "encoder_width": 8, "max_iter": 1, "random_state": 0}
#: Gradio leaves event loops to the garbage collector.
leaves_open = pytest.mark.filterwarnings("ignore:unclosed (event loop|<socket):ResourceWarning")


def test_missing_gradio_is_explained(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(ImportError, match=r'pip install "dmzrep\[app\]"'):
        explore(tmp_path / "model.safetensors")


@pytest.fixture(scope="module")
def gradio():
    return pytest.importorskip("gradio", reason="gradio is not installed")


@pytest.fixture
def visible(gradio):
    """A function that builds the page of an encoder and returns the labels and texts that it shows."""

    def visible(encoder):
        blocks = [block for block in build_explorer(encoder).blocks.values() if block.visible]
        return {str(getattr(block, name, "")) for block in blocks for name in ("label", "value")}

    yield visible
    gc.collect()  # While the warnings about what Gradio leaves open are ignored.


@leaves_open
def test_page_offers_what_the_model_can_do(visible, encoder, digits):
    assert {"Picture and code", "Walk", "Draw", "Decoded from the bits"} <= visible(encoder)
    initialised = visible(make_encoder(16, **TINY | {"max_iter": 0}).fit(digits))
    assert "Picture and code" in initialised and not {"Walk", "Draw"} & initialised
    assert any("has not been trained" in text for text in initialised)


@leaves_open
def test_guidance_is_offered_to_models_trained_for_it(visible, encoder, digits):
    guided = make_encoder(16, **TINY, code_dropout=0.2).fit(digits)
    assert ["Guidance" in "".join(visible(e)) for e in (encoder, guided)] == [False, True]


#: Serves the explorer of a model and of pictures, and refuses connections to other machines.
SERVER = """
import sys
import numpy as np
from PIL import Image
from dmzrep import DMZEncoder
from dmzrep.app.explorer import build_explorer, launch
from tests.app.fake_collection import FakeCollection

def refuse(event, arguments):
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        assert arguments[1][0] in ("127.0.0.1", "::1"), arguments
    assert event != "socket.getaddrinfo" or arguments[0] in (None, "127.0.0.1", "localhost"), arguments

sys.addaudithook(refuse)
model, *paths = sys.argv[1:]
encoder = DMZEncoder.load(model)
images = np.stack([np.asarray(Image.open(path)) for path in paths])
app = build_explorer(encoder, FakeCollection(encoder, paths, images))
print(launch(app), flush=True)
sys.stdin.read()
app.close(verbose=False)
"""


@pytest.fixture(scope="module")
def address(gradio, encoder, pictures, tmp_path_factory):
    """Address of a served explorer.

    It has its own process, as Gradio leaves event loops and sockets to the garbage collector.
    """
    model = tmp_path_factory.mktemp("model") / "digits.safetensors"
    encoder.save(model)
    command = [sys.executable, "-c", SERVER, str(model), *map(str, pictures)]
    root = Path(__file__).parents[2]
    options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=root, **options) as server:
        yield server.stdout.readline().strip().rstrip("/")
        _, errors = server.communicate()
    assert "Error" not in errors, errors


@pytest.fixture
def open_page(browser, address):
    """A function that opens the explorer as a new visitor; errors and foreign requests fail the test."""
    wrong, contexts = [], []

    def open_page():
        contexts.append(browser.new_context(viewport={"width": 1400, "height": 1000}))
        page = contexts[-1].new_page()
        page.set_default_timeout(30_000)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: message.type == "error" and wrong.append(message.text))
        page.on(
            "request",
            lambda request: request.url.startswith((address, "data:", "blob:")) or wrong.append(request.url),
        )
        page.goto(address)
        page.get_by_text("Drop a picture to see its code").wait_for()
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not wrong


def drop(page, area, path):
    page.set_input_files(f"{area} input[type=file]", str(path))


def source(page, image):
    return page.locator(f"{image} img").get_attribute("src")


def wait_for_change(page, image, before):
    page.wait_for_function(
        "([image, before]) => { const img = document.querySelector(image + ' img');"
        " return img && img.src !== before; }",
        arg=[image, before],
    )


@pytest.mark.slow
def test_dropped_picture_is_encoded_decoded_and_searched(open_page, pictures, exploration):
    page = open_page()
    drop(page, "#drop", pictures[5])
    page.locator("#decoded img").wait_for()
    page.get_by_text("digit_05.png · 0 bits switched").wait_for()
    shown = page.locator("[data-bit]").evaluate_all("bits => bits.map(bit => bit.ariaPressed === 'true')")
    assert shown == exploration.read(pictures[5]).bits.astype(bool).tolist()
    page.get_by_text("0 · digit_05.png").wait_for()
    second = exploration.neighbours(exploration.read(pictures[5]), 2)[1][1]
    page.locator("#neighbours button").nth(1).click()
    page.get_by_text(f"digit_{second:02d}.png · 0 bits switched").wait_for()


@pytest.mark.slow
def test_switched_bits_change_the_picture_and_can_be_taken_back(open_page, pictures):
    page = open_page()
    drop(page, "#drop", pictures[5])
    page.get_by_text("0 bits switched").wait_for()
    before = source(page, "#decoded")
    for bit in range(6):  # Faster than they can be decoded.
        page.locator(f"[data-bit='{bit}']").click()
    page.get_by_text("digit_05.png · 6 bits switched").wait_for()
    assert page.locator("[data-bit].switched").count() == 6
    assert source(page, "#decoded") != before
    page.locator("#back").click()
    page.get_by_text("0 bits switched").wait_for()
    assert source(page, "#decoded") == before


@pytest.mark.slow
def test_attribute_slider_changes_the_picture(open_page, pictures, labels_file):
    page = open_page()
    drop(page, "#drop", pictures[5])
    page.get_by_text("0 bits switched").wait_for()
    before = source(page, "#decoded")
    drop(page, "#labels", labels_file)
    page.get_by_text("60 of 60 pictures have labels").wait_for()
    slider = page.get_by_role("slider", name="range slider for round")
    slider.focus()
    for key in ("End", "Home"):  # One of the two changes the code, whatever it is.
        slider.press(key)
        page.wait_for_timeout(500)
        if page.locator("[data-bit].switched").count():
            break
    wait_for_change(page, "#decoded", before)
    assert page.locator("[data-bit].switched").count() > 0


@pytest.mark.slow
def test_walk_and_new_pictures(open_page, pictures):
    page = open_page()
    page.get_by_role("tab", name="Walk").click()
    for end, path in (("first", pictures[0]), ("last", pictures[1])):
        drop(page, f"#{end}-drop", path)
        page.locator(f"#{end} img").wait_for()
    page.locator("#walk").click()
    page.locator("#strip img").nth(8).wait_for()
    page.locator("#large img").wait_for()
    before = source(page, "#large")
    page.get_by_role("slider", name="range slider for Place on the walk").press("End")
    wait_for_change(page, "#large", before)
    page.get_by_role("tab", name="Draw").click()
    page.locator("#draw").click()
    page.locator("#drawn img").nth(15).wait_for()
    page.locator("#drawn button").nth(2).click()
    page.get_by_text("new picture 3 · 0 bits switched").wait_for()


@pytest.mark.slow
def test_wrong_files_give_a_sentence(open_page, pictures, tmp_path):
    page = open_page()
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "labels.csv").write_text("name,<img src=x onerror=document.title=1>\n1,2\n")
    drop(page, "#drop", tmp_path / "notes.txt")
    page.get_by_text("notes.txt cannot be read as a picture: it is damaged, or no picture").wait_for()
    drop(page, "#labels", tmp_path / "labels.csv")
    page.get_by_text("The labels need a column 'path', got the columns ['name', '<img").wait_for()
    assert page.title() == "dmzrep explorer"
    drop(page, "#drop", pictures[5])  # The area is free again.
    page.get_by_text("digit_05.png · 0 bits switched").wait_for()


@pytest.mark.slow
def test_visitors_do_not_share_pictures(open_page, pictures):
    first, second = open_page(), open_page()
    drop(first, "#drop", pictures[5])
    first.get_by_text("digit_05.png · 0 bits switched").wait_for()
    assert second.locator("[data-bit]").count() == 0
    drop(second, "#drop", pictures[6])
    second.get_by_text("digit_06.png · 0 bits switched").wait_for()
    first.locator("[data-bit='1']").click()
    second.locator("[data-bit='2']").click()
    first.get_by_text("digit_05.png · 1 bit switched").wait_for()
    second.get_by_text("digit_06.png · 1 bit switched").wait_for()
