"""The page in a real browser: everything that a visitor does, without an error or another host."""

import os
import re
import subprocess
import sys
import time

import httpx
import pytest

from browser import chromium

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytest.importorskip("nicegui", reason="nicegui is not installed")
pytestmark = pytest.mark.xdist_group("browser")  # one service and one browser for all
PATIENCE = 60_000  # milliseconds, on a machine with other things to do


KEY = "a key that nobody guesses"


@pytest.fixture(scope="module")
def addresses(folder, tmp_path_factory):
    """Of `macrid serve` with keys, and of its page, which is killed without a word at the end."""
    place = tmp_path_factory.mktemp("store")
    store, log = f"sqlite:///{place / 's.sqlite'}", place / "log"
    asked = ["serve", str(folder), "--store", store, "--port=0", "--page-port=0", "--page"]
    environment = {**os.environ, "MACRID_API_KEYS": f"{KEY},another that is long enough"}
    with log.open("w") as written:  # a pipe that nobody empties would hold the service up
        command = [sys.executable, "-m", "macrid", *asked]
        process = subprocess.Popen(command, env=environment, stderr=written)
    try:
        found = []
        while len(found) < 2:
            assert process.poll() is None, log.read_text()
            time.sleep(0.05)
            found = re.findall(r"at (http://[\d.]+:\d+)", log.read_text())
        service, page = found
        with httpx.Client(trust_env=False, timeout=60) as client:
            client.get(page)  # waits until it is there
        started = children(process.pid)
        yield service, page, started
    finally:
        process.kill()
        process.wait()
    ended_with_it(started)


def children(pid):
    """Processes that another has begun: their numbers, and how they were called."""
    said = subprocess.run(["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True).stdout
    rows = [line.split(None, 2) for line in said.splitlines()[1:]]
    return {int(row[0]): row[2] for row in rows if int(row[1]) == pid}


def ended_with_it(started):
    deadline = time.monotonic() + 10
    while any(map(alive, started)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(alive, started))


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture(scope="module")
def browser(addresses):
    with chromium() as launched:
        yield launched


@pytest.fixture
def visit(browser, addresses):
    """Opens the page; what goes wrong in it, and whom it asks, is checked at the end."""
    wrong, asked, contexts = [], [], []

    def visit(query="", **look):
        context = browser.new_context(**look)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.on("console", lambda said: said.type == "error" and wrong.append(said.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.on("websocket", lambda socket: asked.append(socket.url.replace("ws", "http", 1)))
        page.goto(f"{addresses[0]}/" if not query else f"{addresses[1]}/?{query}")
        page.wait_for_selector(".list li:nth-child(20)")
        return page

    yield visit
    for context in contexts:
        context.close()
    assert not wrong
    own = (f"{addresses[0]}/", f"{addresses[1]}/", "data:")
    assert not [url for url in asked if not url.startswith(own)]
    assert any("socket.io" in url for url in asked)


def listed(page):
    return page.locator(".list .name").all_text_contents()


def changed(page, before):
    """Wait until the list is another one; if it never is, what the page says of that."""
    try:
        page.wait_for_function(
            "before => [...document.querySelectorAll('.list .name')].map(n => n.textContent).join()"
            " !== before",
            arg=",".join(before),
        )
    except sync_api.TimeoutError:
        pytest.fail(f"the list stays: {page.inner_text('body')}")
    return listed(page)


def wide(page):
    """Pixels by which something is wider than the window."""
    return page.evaluate("document.documentElement.scrollWidth - innerWidth")


def test_build_a_person_turn_walk_explain_undo_and_come_back_by_the_link(visit):
    page = visit()  # at the service's address, which leads to the page
    popular = listed(page)

    # By the keyboard alone: search, down to the second, click it in.
    page.focus("#search")
    page.keyboard.type("title 0-1")
    page.wait_for_selector(".results li:nth-child(2)")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_selector(".had li")
    assert page.evaluate("document.activeElement.closest('.results') !== null")
    before = changed(page, popular)
    assert "of your history" in page.inner_text(".card.own")

    # Turn a dial by its keys: the list follows and says what has become of it.
    page.wait_for_selector("[id='dial-0:f:price']")
    page.locator("[id='dial-0:f:price']").press("End")  # at once: cards may be drawn anew
    after = changed(page, before)
    assert page.locator(".list .came").count() == len(set(after) - set(before)) > 0
    assert " came, " in page.inner_text(".change")
    assert page.evaluate("document.activeElement.id") == "dial-0:f:price"
    page.wait_for_url(re.compile(r"feature=0:1:price"))
    link = page.url.partition("?")[2]

    # Walk: a strip of real items, the dear ones last.
    page.click("[id='walk-0:f:price']")
    page.wait_for_selector(".walk li:nth-child(8)")

    # Why: a sentence, bars, closed by a key.
    page.click(".list li:first-child button")
    page.wait_for_selector("dialog[open] .bars")
    assert "scores as bags" in page.inner_text("dialog")
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog", state="hidden")

    # Undo, and the link in another window.
    page.click("#undo-tools")
    assert changed(page, after) == before
    other = visit(link)
    assert changed(other, popular) == after
    assert other.input_value("[id='dial-0:f:price']") == "1"
    assert listed(page) == before  # nobody else's page has moved


def test_the_map_shows_all_items_and_adds_one_by_a_key(visit):
    page = visit()
    page.locator(".plane").scroll_into_view_if_needed()
    page.wait_for_selector("canvas[data-points='120']")
    page.focus("canvas")
    page.keyboard.press("+")
    for key in ("ArrowLeft", "ArrowUp", "ArrowRight", "ArrowRight", "ArrowDown", "ArrowDown"):
        page.keyboard.press("Enter")
        if page.locator(".had li").count():
            break
        page.keyboard.press(key)
    page.wait_for_selector(".had li")
    assert page.locator(".legend button").count() == 3


def test_a_telephone_in_the_dark_and_a_bad_link(visit):
    page = visit("had=nobody", viewport={"width": 390, "height": 844}, color_scheme="dark")
    assert "is not in the model's" in page.inner_text("[role=alert]")
    assert wide(page) == 0
    page.click("#example-0")
    page.wait_for_selector(".had li:nth-child(5)")
    assert page.is_visible(".strip")
    assert wide(page) == 0
    ground = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(ground) == "rgb(21, 24, 28)"
    page.click("#theme")
    assert page.evaluate(ground) == "rgb(255, 255, 255)"


def test_the_page_lends_a_key_that_no_list_of_processes_shows(addresses):
    service, page, started = addresses
    (called,) = started.values()
    assert "macrid.page" in called
    assert KEY not in called
    with httpx.Client(trust_env=False, timeout=60) as client:
        assert client.get(service + "/v1/concepts").status_code == 401
        assert client.get(service + "/").headers["location"] == page + "/"
        for _ in range(60):  # it is drawn behind the requests, and busy until then
            if (found := client.get(page + "/map")).status_code == 200:
                break
            assert found.status_code == 202
            time.sleep(1)
        assert found.json()["item_id"]
