"""The gallery: its files, and how they look in a browser (`pytest -m browser`)."""

import json
import math
import re
import shutil
import sys
import tempfile
from html.parser import HTMLParser
from urllib.parse import urldefrag

import numpy as np
import pytest
from conftest import ROOT, ops_of

pytest.importorskip("matplotlib", reason='pip install "nngrad[gallery]" has what pictures need')

from nngrad.codegen import command
from nngrad.codegen.algebra.symbols import SpecError
from nngrad.codegen.choices import DEFAULT_PATH, Choices
from nngrad.codegen.showing import gallery, plots

SITE = ROOT / "docs" / "ops"  # where the project's own is, once it was made
OPS = ops_of(command.SPEC)
FEW = [  # of every kind a few
    "silu", "gelu", "softmax", "layer_norm", "huber_loss", "cross_entropy", "where", "power", "std", "matmul",
    "correlate2d", "einsum", "reshape", "concat", "sigmoid_slope",
]  # fmt: skip
PRIMED = ["f", f"f{plots.PRIME}", f"f{plots.DOUBLE_PRIME}"]
MY_OPS = '''"""Ops of a reader's own."""

from nngrad.codegen.language import activation


@activation
def parabola(x, *, beta=1.0):
    """A parabola of one's own (Reader 2026)."""
    return beta * x**2
'''


def render(names):
    return gallery.render([OPS[name] for name in names], "nngrad", Choices(DEFAULT_PATH))


@pytest.fixture(scope="module")
def files():
    return render(FEW)


@pytest.fixture(scope="module")
def site(files, tmp_path_factory):
    """The project's own gallery where it is there, else one of a few ops."""
    if (SITE / "index.html").exists():
        return SITE
    folder = tmp_path_factory.mktemp("ops")
    gallery.write(files, folder)
    return folder


class Page(HTMLParser):
    """What a page refers to, and what it calls itself."""

    def __init__(self, text):
        super().__init__()
        self.links, self.loaded, self.titles, self.pictures, self.inside = [], [], [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.inside = tag
        if tag == "a":
            self.links.append(attrs["href"])
        elif "src" in attrs or tag == "link":
            self.loaded.append(attrs.get("src") or attrs["href"])
        elif tag == "svg":
            self.pictures.append(attrs)

    def handle_data(self, data):
        if self.inside == "title":
            self.titles.append(data)
            self.inside = ""


def pages(folder):
    return {path.name: Page(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.html"))}


def test_links_lead_somewhere_and_nothing_comes_from_elsewhere(site):
    found = pages(site)
    index = found["index.html"]
    assert {f"{link.removesuffix('.html')}" for link in index.links} == {name[:-5] for name in found} - {"index"}
    for name, page in found.items():
        for link in (*page.links, *page.loaded):
            assert link == "data:," or (site / urldefrag(link).url).is_file(), f"{link} in {name}"
    assert re.findall(r"url\(\"?([^)\"]*)", (site / "style.css").read_text(encoding="utf-8")) == ["math.woff2"]


def test_pages_say_what_they_are(site):
    for name, page in pages(site).items():
        op = name.removesuffix(".html")
        assert page.titles == ["The ops of nngrad" if op == "index" else f"{op} · nngrad ops"]
        for picture in page.pictures:
            assert picture.get("aria-hidden") == "true" or op in picture["aria-label"]


def test_the_same_bytes_every_time(files):
    again = render(FEW[:3])
    assert [name for name in ("silu.html", "gelu.html", "style.css", "filter.js") if again[name] != files[name]] == []


def test_a_page_has_every_part(files):
    text = files["huber_loss.html"].decode()
    headings = re.findall(r"<h2>(\w+)", text)
    assert headings == ["Formula", "Code", "Accuracy", "References"]
    assert "Huber 1964" in text and "PyTorch forward" in text and '<span class="nf">huber_loss_vjp</span>' in text
    assert "<h2>Conventions" in files["std.html"].decode()
    assert 'class="plot"' in text and 'class="plot"' not in files["matmul.html"].decode()


def test_the_committed_gallery_is_what_is_made(files):
    """Of a few pages all but the pictures, which depend on Matplotlib's version."""
    if not (SITE / "index.html").exists():
        pytest.skip("docs/ops was not made: python -m nngrad.codegen --gallery docs/ops")
    names = {f"{name}.html" for name in OPS}
    present = {path.name for path in SITE.glob("*.html")}
    assert present == {*names, "index.html"}

    def core(text):
        text = re.sub(rb'<svg class="plot".*?</svg>|<footer>.*?</footer>', b"", text, flags=re.DOTALL)
        return text.splitlines()

    for name in (*(f"{one}.html" for one in FEW), "style.css", "filter.js", "math.woff2"):
        assert core((SITE / name).read_bytes()) == core(files[name]), (
            f"{name} is out of date: python -m nngrad.codegen --gallery docs/ops"
        )


def test_the_command_with_a_spec_of_ones_own(tmp_path, capsys):
    (tmp_path / "my_ops.py").write_text(MY_OPS)
    folder = tmp_path / "site"
    arguments = ["--spec", str(tmp_path / "my_ops.py"), "--gallery", str(folder)]
    assert command.run([*arguments, "--check"]) == 1 and not folder.exists()
    assert command.run(arguments) == 0
    assert re.search(r"index\.html: 1 op, [\d.]+ MB in [\d.]+ s; 6 files changed\n$", capsys.readouterr().out)
    assert "Reader 2026" in (folder / "parabola.html").read_text(encoding="utf-8")
    assert command.run([*arguments, "--check"]) == 0
    (folder / "old.html").write_text(f"<!-- {gallery.MARK} -->")
    (folder / "notes.html").write_text("somebody's")
    assert command.run([*arguments, "--check"]) == 1
    assert "old.html is out of date" in capsys.readouterr().out
    assert command.run(arguments) == 0
    assert not (folder / "old.html").exists() and (folder / "notes.html").exists()
    (folder / "parabola.html").write_text("somebody's")
    assert command.run(arguments) == 2
    assert "was not made by this command" in capsys.readouterr().err
    assert (folder / "parabola.html").read_text() == "somebody's"


def test_without_matplotlib_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(SpecError, match="matplotlib, which is not installed"):
        render(["exp"])


@pytest.mark.parametrize(
    ("name", "labels", "at"),
    [
        ("sin", PRIMED, lambda x: (math.sin(x), math.cos(x))),
        ("multiply", ["f", "∂f/∂x1", "∂f/∂x2"], lambda x: (0.5 * x, 0.5)),
        ("mse_loss", PRIMED, lambda x: ((x - 0.5) ** 2, 2 * (x - 0.5))),
        ("mean", PRIMED, lambda x: ((x - 0.5) / 3, 1 / 3)),
    ],
)
def test_curves(name, labels, at):
    drawn = plots.picture(OPS[name])
    assert [curve.label for curve in drawn.curves] == labels
    for place in (3, 90, 171):
        value, slope = at(drawn.x[place])
        assert drawn.curves[0].y[place] == pytest.approx(value)
        assert drawn.curves[1].y[place] == pytest.approx(slope)


@pytest.mark.parametrize("name", ["threshold", "rad2deg"])
def test_some_of_every_curve_is_to_be_seen(name):
    drawn = plots.picture(OPS[name])
    low, high = drawn.limits
    assert all(np.any((low < curve.y) & (curve.y < high)) for curve in drawn.curves)
    assert np.ptp(drawn.curves[0].y[np.isfinite(drawn.curves[0].y)]) > 0.5, "a constant would not show what the op does"


# --- in a browser -----------------------------------------------------------------------------------------------------

FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest.fixture(scope="module")
def chromium():
    """A browser that writes down what it requests and what goes wrong."""
    webdriver = pytest.importorskip("selenium.webdriver", reason='pip install -e ".[dev]" has Selenium')
    from selenium.webdriver.chrome.service import Service

    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not binary or not driver:
        pytest.skip("there is no Chromium: apt-get install chromium chromium-driver")
    with tempfile.TemporaryDirectory() as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = binary
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        browser = webdriver.Chrome(options=options, service=Service(driver))
        browser.get("about:blank")
        for log in ("browser", "performance"):  # of the page that it begins with
            browser.get_log(log)
        yield browser
        browser.quit()


def show(browser, path, width=1200, scheme="light"):
    size = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    browser.get(path.as_uri())


def shown(browser):
    return [card.text for card in browser.find_elements("css selector", ".card strong") if card.is_displayed()]


@pytest.mark.browser
def test_every_page_fits_a_phone_and_loads_without_a_fault(site, chromium):
    """No message on the console, no request that fails or leaves the folder, nothing wider than the screen."""
    for path in sorted(site.glob("*.html")):
        show(chromium, path, 390, "dark")
        width = chromium.execute_script("return document.documentElement.scrollWidth")
        assert width <= 390, f"{path.name} is {width} pixels wide"
    assert chromium.get_log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in chromium.get_log("performance")]
    asked = {event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"}
    assert asked and all(url.startswith((site.as_uri(), "data:")) for url in asked), asked
    assert [event for event in events if event["method"] == "Network.loadingFailed"] == []


@pytest.mark.browser
def test_formulas_have_their_font_and_dark_is_dark(site, chromium):
    colours = {}
    for scheme in ("light", "dark"):
        show(chromium, site / "softmax.html", scheme=scheme)
        colours[scheme] = chromium.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert colours == {"light": "rgb(255, 255, 255)", "dark": "rgb(13, 17, 23)"}
    assert chromium.execute_async_script("document.fonts.ready.then((fonts) => arguments[0](fonts.check('16px Math')))")
    tall, plain = (
        chromium.execute_script(f"return document.querySelectorAll('.equation')[{place}].offsetHeight")
        for place in (1, 0)
    )
    assert tall > plain, "a fraction is higher than a line"


@pytest.mark.browser
def test_the_filter(site, chromium):
    show(chromium, site / "index.html")
    box = chromium.find_element("id", "filter")
    everything = shown(chromium)
    assert len(everything) == len(list(site.glob("*.html"))) - 1
    chromium.find_element("css selector", "body").send_keys("/")
    assert chromium.switch_to.active_element == box
    box.send_keys("sigm activation")
    found = shown(chromium)
    assert "silu" in found and "matmul" not in found and len(found) < len(everything)
    assert chromium.find_element("css selector", "output").text == f"{len(found)} op" + "s" * (len(found) > 1)
    box.send_keys("zzz")
    assert shown(chromium) == [] and not any(one.is_displayed() for one in chromium.find_elements("tag name", "h2"))
    box.send_keys("\ue00c")  # Escape
    assert shown(chromium) == everything
    box.send_keys("huber")
    next(card for card in chromium.find_elements("css selector", "a.card") if card.is_displayed()).send_keys("\n")
    assert chromium.title == "huber_loss · nngrad ops"


@pytest.mark.browser
def test_what_scrolls_can_be_reached_by_keyboard(site, chromium):
    """A part that is wider than the screen takes the focus, so that arrows move it; and it has a name."""
    show(chromium, site / "layer_norm.html", 390)
    wide = chromium.execute_script(
        "return [...document.querySelectorAll('main *')].filter((one) => one.scrollWidth > one.clientWidth + 1"
        " && getComputedStyle(one).overflowX === 'auto').map((one) => [one.tabIndex, one.ariaLabel])"
    )
    assert wide and all(index == 0 and label for index, label in wide)
