"""The page of a run in a real browser: by keyboard, without a network, at two widths, light and dark.

Slow, since it needs Chromium, its driver and selenium: `apt install chromium chromium-driver`, `pip install selenium`.
"""

import json
import shutil
import time
from io import BytesIO

import numpy as np
import pandas
import pytest
from PIL import Image

from jaxrl import pages

pytestmark = pytest.mark.slow

NAMES = ("treasure <b>", "time", "fuel_used")


def episode(index):
    """A GIF of one colour."""
    file = BytesIO()
    frames = [Image.new("RGB", (60, 40), (index * 40, shade, 90)) for shade in (0, 200)]
    frames[0].save(file, format="GIF", save_all=True, append_images=frames[1:], duration=200, loop=0)
    return pages.Episode(file.getvalue(), f"episode of policy {index}")


@pytest.fixture(scope="module")
def front():
    generator = np.random.default_rng(3)
    points = generator.normal(size=(40, 3)) * np.array([1.0, 10.0, 0.1])
    on_front = np.array([not any((q >= p).all() and (q > p).any() for q in points) for p in points])
    return points, on_front


@pytest.fixture(scope="module")
def path(front, tmp_path_factory):
    points, on_front = front
    returns = {f"return_{name}": points[:, index] for index, name in enumerate(NAMES)}
    table = pandas.DataFrame({"member": np.arange(len(points)), "on_front": on_front, **returns})
    steps = np.arange(1, 11) * 1000
    rows = [
        {"run": f"rate {rate} <i>", "seed": seed, "steps": step, "return": rate * step + seed}
        for rate in range(3) for seed in range(3) for step in steps
    ]  # fmt: skip
    members = pandas.DataFrame({"name": ["b", "a", "c", "d"], "return": [2.0, np.nan, -1.0, 10.0]})
    episodes = {int(index): episode(int(index) % 6) for index in np.flatnonzero(on_front)[:-1]}
    commands = ("jaxrl watch RUN --member #",)
    explorer = pages.explorer(points, on_front, NAMES, table, episodes, "No episode of policy #.", commands)
    curves = pages.charts([pages.curves(pandas.DataFrame(rows), "return", "run")])
    sections = [
        pages.Section("Front", (explorer,)), pages.Section("Curves", (pages.legend(["rate 0"]), curves)),
        pages.Section("Members", (pages.table(members, "Members"),)),
    ]  # fmt: skip
    place = tmp_path_factory.mktemp("page") / "page.html"
    place.write_text(pages.document("A <run>", "lead", {"state": "finished"}, sections), encoding="utf-8")
    return place


@pytest.fixture(scope="module")
def open_page(path, tmp_path_factory):
    webdriver = pytest.importorskip("selenium.webdriver")
    from selenium.webdriver.chrome.service import Service

    browser, service = shutil.which("chromium"), shutil.which("chromedriver")
    if not (browser and service):
        pytest.skip("needs chromium and chromedriver")
    opened = []

    def open_page(width=1280, dark=False):
        options = webdriver.ChromeOptions()
        options.binary_location = browser
        profile = tmp_path_factory.mktemp("profile")
        for word in (
            "headless", "no-sandbox", "disable-gpu", "no-first-run", "disable-background-networking",
            "disable-component-update", "disable-sync", f"user-data-dir={profile}", "enable-unsafe-swiftshader",
        ):  # fmt: skip
            options.add_argument(f"--{word}")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        driver = webdriver.Chrome(options=options, service=Service(service))
        opened.append(driver)
        size = {"width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": False}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        driver.get(path.as_uri())
        return driver

    yield open_page
    for driver in opened:
        driver.quit()


@pytest.fixture(scope="module")
def driver(open_page):
    return open_page()


def find(driver, selector):
    return driver.find_elements("css selector", selector)


def press(element, key, times=1):
    from selenium.webdriver.common.keys import Keys

    for _ in range(times):
        element.send_keys(getattr(Keys, key, key))


def chosen(driver):
    rows = find(driver, ".explorer tr[aria-current=true]")
    return int(rows[0].get_attribute("data-row")) if rows else None


def best(front, weights, bounds):
    """By numpy: the largest w·G on the front within bounds."""
    points, on_front = front
    allowed = on_front & (points >= np.array([-np.inf if bound is None else bound for bound in bounds])).all(axis=1)
    return int(np.where(allowed, points @ weights, -np.inf).argmax()) if allowed.any() else None


def test_sliders_choose_by_keyboard_what_numpy_chooses(driver, front):
    points, on_front = front
    weights, least = find(driver, ".weight input"), find(driver, ".bound input[type=range]")
    raw, places = [50, 50, 50], [0, 0, 0]
    low, high = points[on_front].min(axis=0), points[on_front].max(axis=0)
    seen = set()
    moves = [
        (0, "ARROW_RIGHT", 10),
        (1, "HOME", 1),
        (2, "END", 1),
        (1, "ARROW_RIGHT", 2),
        (0, "HOME", 1),
        (1, "END", 1),
    ]
    for slider, key, times in moves:
        press(weights[slider], key, times)
        raw[slider] = {"HOME": 0, "END": 100}.get(key, raw[slider] + times)
        assert [int(element.get_attribute("value")) for element in weights] == raw
        assert chosen(driver) == best(front, np.array(raw) / sum(raw), [None] * 3)
        seen.add(chosen(driver))
    for slider, times in ((0, 40), (2, 60), (1, 90), (0, 60)):
        press(least[slider], "ARROW_RIGHT", times)
        places[slider] += times
        bounds = [low[i] + place / 200 * (high[i] - low[i]) if place else None for i, place in enumerate(places)]
        assert chosen(driver) == best(front, np.array(raw) / sum(raw), bounds)
        seen.add(chosen(driver))
    assert len(seen) >= 3
    press(least[0], "END")
    press(least[1], "END")
    press(least[2], "END")
    status = find(driver, ".explorer .result [role=status]")[0]
    assert chosen(driver) is None and status.text.startswith("No policy of the front reaches these thresholds.")
    press(find(driver, ".reset")[0], "ENTER")
    assert chosen(driver) == best(front, np.full(3, 1 / 3), [None] * 3)
    number = find(driver, ".bound input[type=number]")[1]
    number.send_keys(f"{high[1]:.6f}"[:-2])
    assert chosen(driver) == best(front, np.full(3, 1 / 3), [None, float(f"{high[1]:.6f}"[:-2]), None])
    press(find(driver, ".reset")[0], "ENTER")


def test_what_is_beside_the_chosen_policy_follows_it(driver, front):
    points, on_front = front
    members = np.flatnonzero(on_front)
    for member in (members[0], members[-1]):
        press(find(driver, f"[data-choose='{member}']")[0], "ENTER")
        assert chosen(driver) == member
        shown = [float(cell.text) for cell in find(driver, ".returns td")]
        np.testing.assert_allclose(shown, points[member], rtol=1e-3)
        assert find(driver, ".commands code")[0].text == f"jaxrl watch RUN --member {member}"
        assert f"Policy {member}, chosen by hand" in find(driver, ".result [role=status]")[0].text
        caption = find(driver, ".explorer figcaption")[0].text
        image = find(driver, ".explorer .episode img")[0]
        if member == members[-1]:
            assert caption == f"No episode of policy {member}." and not image.is_displayed()
        else:
            assert caption == f"episode of policy {member % 6}" == image.get_attribute("alt") and image.is_displayed()
    press(find(driver, f"[data-choose='{members[0]}']")[0], "ENTER")
    button = find(driver, ".explorer .episode button")[0]
    assert button.text == "Stop" and find(driver, ".explorer img")[0].get_attribute("src").startswith("data:image/gif")
    press(button, "SPACE")
    time.sleep(0.5)
    assert button.text == "Play" and find(driver, ".explorer img")[0].get_attribute("src").startswith("data:image/png")
    press(button, "SPACE")
    press(find(driver, ".weight input")[0], "ARROW_RIGHT")
    assert "chosen by hand" not in find(driver, ".result [role=status]")[0].text


def test_every_view_shows_the_front_and_a_point_chooses(driver, front):
    from selenium import webdriver

    count, names = int(front[1].sum()), {}
    for view in ("plane", "space", "parallel"):
        press(find(driver, f"[name=view][value={view}]")[0], "SPACE")
        drawn = driver.execute_script(
            "return document.querySelector('.explorer .plot').data.map((trace) => [trace.name, trace.type, "
            "new Set(trace.customdata).size])"
        )
        assert sum(size for _, _, size in drawn) == count
        names[view] = {kind for _, kind, _ in drawn}
    assert names == {"plane": {"scatter"}, "space": {"scatter3d"}, "parallel": {"scatter"}}
    press(find(driver, ".dominated")[0], "SPACE")
    traces = driver.execute_script("return document.querySelector('.explorer .plot').data.map((trace) => trace.name)")
    assert traces[0] == "dominated"
    press(find(driver, ".dominated")[0], "SPACE")
    press(find(driver, "[name=view][value=plane]")[0], "SPACE")
    title = find(driver, ".explorer .xtitle")[0]
    assert title.text == NAMES[0], "a name is no markup"
    script = (
        "const plot = document.querySelector('.explorer .plot'); return plot.data.findIndex((t) => t.name === name)"
    )
    place = driver.execute_script(f"const name = 'on the front'; {script}")
    members = driver.execute_script(f"return document.querySelector('.explorer .plot').data[{place}].customdata")
    points = find(driver, ".explorer .scatterlayer .trace .points")
    last = points[place].find_elements("css selector", "path")[-1]
    webdriver.ActionChains(driver).move_to_element(last).click().perform()
    assert chosen(driver) == members[-1]


def rows(driver):
    return [row.text.split() for row in find(driver, "#section-3 tbody tr") if row.is_displayed()]


def test_a_table_sorts_and_filters_by_keyboard(driver):
    headers = find(driver, "#section-3 thead th")
    button = headers[1].find_element("css selector", "button")
    press(button, "ENTER")
    assert headers[1].get_attribute("aria-sort") == "ascending"
    assert [row[1] for row in rows(driver)] == ["-1", "2", "10", "NaN"]
    press(button, "SPACE")
    assert headers[1].get_attribute("aria-sort") == "descending"
    assert [row[0] for row in rows(driver)] == ["d", "b", "c", "a"]
    press(headers[0].find_element("css selector", "button"), "ENTER")
    assert [header.get_attribute("aria-sort") for header in headers] == ["ascending", "none"]
    filter_field = find(driver, "#section-3 input[type=search]")[0]
    filter_field.send_keys("return>0")
    assert [row[0] for row in rows(driver)] == ["b", "d"]
    assert find(driver, "#section-3 [role=status]")[0].text == "2 of 4 rows"
    filter_field.clear()
    filter_field.send_keys("c")
    assert [row[0] for row in rows(driver)] == ["c"]
    filter_field.clear()
    filter_field.send_keys(" ")


def test_controls_and_figures_have_names_that_screen_readers_say(driver):
    nodes = driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    value = lambda node, name: node.get(name, {}).get("value")  # noqa: E731
    named = {(value(node, "role"), value(node, "name")) for node in nodes if not node.get("ignored")}
    titles = [name.replace("_", " ") for name in NAMES]
    expected = {("slider", f"Weight of {title}") for title in titles}
    expected |= {("slider", f"Least {title}") for title in titles}
    expected |= {("spinbutton", f"Least {title}, as a number") for title in titles}
    expected |= {("radio", "2-D"), ("radio", "3-D"), ("radio", "parallel coordinates"), ("button", "return")}
    expected |= {("searchbox", "Filter: Members"), ("region", "Members"), ("navigation", "Sections")}
    assert expected <= named
    interactive = {"slider", "spinbutton", "radio", "button", "searchbox", "checkbox", "combobox", "link", "image"}
    assert not [role for role, name in named if role in interactive and not name]
    images = {name for role, name in named if role == "image"}
    assert any("policies on the front reach the thresholds. Policy" in name for name in images)
    slider = find(driver, ".weight input")[0]
    assert slider.get_attribute("aria-valuetext").startswith("weight 0.")


def test_nothing_is_asked_of_a_network_and_nothing_goes_wrong(driver):
    messages = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    requests = [message for message in messages if message["method"] == "Network.requestWillBeSent"]
    urls = {message["params"]["request"]["url"][:60] for message in requests}
    # The browser's own are called chrome:.
    assert urls and not [url for url in urls if url.startswith(("http", "ws"))]
    errors = [entry for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]
    assert not errors


@pytest.mark.parametrize("width", [400, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_a_page_fits_its_width_and_its_words_can_be_read(open_page, width, dark):
    driver = open_page(width, dark)
    size = driver.execute_script("return [document.documentElement.scrollWidth, window.innerWidth]")
    assert size[0] <= size[1]
    # WCAG 2.2: 4.5 to 1 for words.
    contrasts = driver.execute_script(CONTRASTS)
    assert len(contrasts) > 50 and min(ratio for ratio, _ in contrasts) >= 4.5, min(contrasts)
    wide = [tag for tag in find(driver, "main .plot") if tag.size["width"] > width]
    assert not wide


CONTRASTS = """
const numbers = (text) => text.match(/[\\d.]+/g).map(Number);
const light = (parts) => parts.slice(0, 3).map((part) => part / 255)
  .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
  .reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index], 0);
const ground = (element) => {
  for (let place = element; place; place = place.parentElement) {
    const parts = numbers(getComputedStyle(place).backgroundColor);
    if (parts.length < 4 || parts[3] > 0) return parts;
  }
  return [255, 255, 255];
};
return [...document.querySelectorAll("body *")]
  .filter((element) => element.checkVisibility() && !element.closest("svg, script"))
  .filter((element) => [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim()))
  .map((element) => {
    const [one, two] = [light(numbers(getComputedStyle(element).color)), light(ground(element))];
    return [(Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05), element.outerHTML.slice(0, 80)];
  });
"""
