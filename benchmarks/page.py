"""The page in a real browser on a catalogue of 18,000 items: how soon a list follows a dial.

    make bench-page
    python benchmarks/page.py --rounds 40

From the key that turns a dial to the new list in the document, and from frame to frame while the
map of all items is dragged. The model is trained for some epochs on Last.fm, beside the checkout in
shared/data or where MACRID_DATA says. Browser, page and service share the machine's processors.
"""

import argparse
import os
import platform
import re
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from playwright.sync_api import Page, sync_playwright

import macrid

HERE = Path(__file__).resolve().parent
RAW, OUT = HERE / ".raw" / "page", Path(__file__).with_suffix(".md")
DATA = Path(os.environ.get("MACRID_DATA", HERE.parents[1] / "shared" / "data"))
PATIENCE = 120_000  # milliseconds; the map and the dials are worked out meanwhile
TURN = """async ([id, share]) => {
  const dial = document.getElementById(id), list = () =>
    [...document.querySelectorAll('.list .name')].map((name) => name.textContent).join();
  const before = list(), began = performance.now();
  dial.value = Number(dial.min) + share * (dial.max - dial.min);
  dial.dispatchEvent(new Event('input', { bubbles: true }));
  dial.dispatchEvent(new Event('change', { bubbles: true }));
  while (list() === before && performance.now() - began < 10000)
    await new Promise((then) => setTimeout(then, 1));
  return list() === before ? null : performance.now() - began;
}"""
DRAG = """async (n) => {
  const canvas = document.querySelector('canvas'), box = canvas.getBoundingClientRect();
  const at = (name, x) => canvas.dispatchEvent(new PointerEvent(name, { pointerId: 1, button: 0,
    buttons: 1, bubbles: true, clientX: box.x + x, clientY: box.y + box.height / 2 }));
  const frame = () => new Promise(requestAnimationFrame), times = [];
  canvas.setPointerCapture = () => {};
  at('pointerdown', 200);
  let last = await frame();
  for (let i = 0; i < n; i++) {
    at('pointermove', 200 + 100 * Math.sin(i / 5));
    const now = await frame();
    times.push(now - last);
    last = now;
  }
  at('pointerup', 200);
  return times;
}"""

SHARES = 0.1, 0.9, 0.3, 0.7  # of a dial's way
ABOUT = [
    "# The page in a browser",
    "",
    "Written by `benchmarks/page.py`: from a turned dial to the new list in the document, and",
    "between frames of the map while it is dragged, in Chromium without a window or a GPU, on the",
    "processors that serve it, once dials and map are worked out. "
    f"{platform.machine()}, {os.cpu_count()} cores.",
    "",
]


def main() -> None:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30, help="turns of each dial")
    parser.add_argument("--browser", default="/usr/bin/chromium")
    given = parser.parse_args()
    torch.set_num_threads(1)
    with served(prepared()) as (service, url), sync_playwright() as playwright:
        await_all(service)
        launched = playwright.chromium.launch(executable_path=given.browser, args=["--no-sandbox"])
        page = launched.new_page(viewport={"width": 1400, "height": 1000})
        page.set_default_timeout(PATIENCE)
        rows = measured(page, url, given.rounds)
        launched.close()
    print("\n".join(rows))
    OUT.write_text("\n".join([*ABOUT, *rows, ""]), encoding="utf-8")


def prepared() -> Path:
    """A model of Last.fm's artists."""
    folder = RAW / "model"
    if not folder.is_dir():
        RAW.mkdir(parents=True, exist_ok=True)
        source = DATA / "lastfm-hetrec"
        events = macrid.read(source / "interactions.parquet", items=source / "items.parquet")
        macrid.MacridVAE().fit(events, epochs=10, recipe="fast").save(folder)
    return folder


@contextmanager
def served(folder: Path) -> Iterator[tuple[str, str]]:
    """`macrid serve` and its page, in processes of their own; their addresses."""
    log, store = RAW / "log", f"sqlite:///{RAW / 'store.sqlite'}"
    words = ["serve", folder, "--port", 0, "--page-port", 0, "--page", "--store", store]
    command = [sys.executable, "-m", "macrid", *map(str, words)]
    with log.open("w") as kept:
        process = subprocess.Popen(command, stderr=kept)
        try:
            found: list[str] = []
            while len(found) < 2:
                if process.poll() is not None:
                    sys.exit(log.read_text())
                found = re.findall(r"at (http://[\d.]+:\d+)", log.read_text())
                time.sleep(0.2)
            yield found[0], found[1]
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def await_all(service: str) -> None:
    """Until what is worked out once for each model is there, dials and map."""
    for path in ("/v1/dials", "/v1/map"):
        ask = ["curl", "-fs", "-o", os.devnull, service + path]
        while subprocess.run(ask).returncode != 0:
            time.sleep(1)


def measured(page: Page, url: str, rounds: int) -> list[str]:
    """Times of each kind."""
    page.goto(url)
    page.click("#example-0")
    page.wait_for_selector(".had li:nth-child(3)")
    page.locator("canvas").scroll_into_view_if_needed()  # out of sight nothing is drawn
    page.wait_for_selector("canvas[data-points]")
    rows = ["| what | median ms | 90% within | times |", "| --- | --- | --- | --- |"]
    own = page.locator(".card.own input[type=range]")
    for element in [own.nth(n).get_attribute("id") for n in range(min(3, own.count()))]:
        times = [page.evaluate(TURN, [element, SHARES[n % 4]]) for n in range(rounds)]
        rows.append(row(f"`{element}`", [time for time in times if time is not None]))
    points = page.get_attribute("canvas", "data-points")
    page.locator("canvas").scroll_into_view_if_needed()
    rows.append(row(f"a frame of the map, {points} points", page.evaluate(DRAG, 120)))
    return rows


def row(name: str, times: list[float]) -> str:
    """Of a table."""
    within = statistics.quantiles(times, n=10)[-1]
    return f"| {name} | {statistics.median(times):.0f} | {within:.0f} | {len(times)} |"


if __name__ == "__main__":
    main()
