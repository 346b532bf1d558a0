"""A report as a file: whole, true to its numbers, in need of nothing from outside."""

import json
import re
from dataclasses import replace
from functools import cache

import polars as pl
import pytest

from browser import chromium
from macrid.errors import ArtifactError, DataError, MissingExtra
from macrid.report import model as pages
from macrid.report import plates, projection
from macrid.report.findings import Findings, find
from macrid.report.model import check_out, model_page, need_extra, write_model_report
from macrid.report.palette import colours
from planted import fitted, split
from steerable import steerable

# One worker, as what is shared takes seconds.
pytestmark = pytest.mark.xdist_group("model page")
pytest.importorskip("openTSNE")
pytest.importorskip("plotly")


@cache
def awkward() -> Findings:
    """Of a model with concepts, features and titles that could break a page."""
    model, early, late = steerable(), projection._EARLY, projection._LATE
    title = (
        pl.when(pl.int_range(pl.len()) == 0).then(pl.lit("<b>a</script> & b")).otherwise("title")
    )
    model.catalogue = model.catalogue.with_columns(title=title)
    model.name_concept(1, "<i>lamps")
    model.metrics = {"test": {"ndcg@5": {"mean": 0.25, "se": 0.01, "n": 9}}}
    model.training["best_epoch"] = 1
    known = replace(split(), train=of_items(model.items.ids))
    model.training["data"] = known.train.fingerprint()
    projection._EARLY = projection._LATE = 5
    try:
        return find(model, known, metrics=["ndcg@5"], label="kind")
    finally:
        projection._EARLY, projection._LATE = early, late


def of_items(ids):
    """People who had some of the model's items."""
    import macrid

    return macrid.read({"user": [n % 40 for n in range(len(ids))] * 2, "item": [*ids, *ids[::-1]]})


@cache
def html() -> str:
    log = pl.DataFrame({"epoch": [1, 2], "loss": [3.5, 2.5], "ndcg@100": [0.1, 0.2]})
    log = log.with_columns(seconds=1.0)
    return model_page(replace(awkward(), log=log), {"data": "<somewhere>"})


def visible(page):
    return re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)


def data(page, name):
    return json.loads(re.findall(f'id="{name}">(.*?)</script>', page, re.DOTALL)[0])


def test_all_chapters_are_there_and_linked():
    shown = visible(html())
    titles = re.findall("<h2>(.*?)</h2>", shown)
    assert titles == [
        "How good its lists are",
        "Training",
        "Concepts",
        "How items are shared out",
        "Concepts against kind",
        "The map",
        "Walks along dials",
        "Correlations between dimensions",
        "Settings and data",
    ]
    links = re.findall('href="#(.*?)"', shown)
    assert len(links) == 9
    assert all(shown.count(f'id="{link}"') == 1 for link in links)
    ids = re.findall(r' id="(.*?)"', shown)
    assert len(ids) == len(set(ids))


def test_it_needs_nothing_from_outside():
    shown = visible(html())
    assert not re.search(r"""(src|href)\s*=\s*["']?(https?:)?//|@import|<link""", shown)
    assert not re.search(r"<script[^>]+src", html())
    assert html().count("/**\n* plotly.js") == 1
    assert "prefers-color-scheme: dark" in shown
    assert 'name="viewport"' in shown


def test_texts_are_shown_as_they_are():
    shown = visible(html())
    assert "&lt;i&gt;lamps" in shown
    assert "&lt;somewhere&gt;" in shown
    assert "<i>lamps" not in shown
    assert "<b>a" not in html()
    assert data(html(), "map-data")["items"]["title"][0] == "<b>a</script> & b"


def test_numbers_stand_beside_figures():
    shown, found = visible(html()), awkward()
    assert found.concepts is not None
    assert "0.2500 (0.2304 to 0.2696)" in shown
    assert f"The largest concept has {found.concepts.largest_share:.1%} of the items" in shown
    assert f"{found.correlations[0].uncorrelatedness:.4f}" in shown
    assert "2 epochs in 2 seconds; epoch 1 was kept" in shown
    assert "Normalised mutual information is 1.000" in shown
    assert "measured when it was trained" in shown
    for strip in found.strips:
        assert f"along {strip.dial}" in shown
    assert "price -0." in shown
    assert "✓ " in shown


def test_the_map_holds_every_point_and_what_it_is():
    content, atlas = data(html(), "map-data"), awkward().atlas
    assert atlas is not None
    for side, n in (("items", len(atlas.items)), ("people", len(atlas.users))):
        assert {len(content[side][key]) for key in ("x", "y", "title", "concept", "label")} == {n}
    assert [group["name"] for group in content["labels"]] == ["bags", "lamps", "tents"]
    assert content["concepts"][1]["name"] == "<i>lamps"
    assert [view["name"] for view in content["views"]] == [
        "items and people by concept",
        "items",
        "people",
        "items by kind",
    ]
    assert content["people"]["title"][0].startswith("person 0, ")


def test_heat_maps_hold_the_correlations():
    content = data(html(), "heat-data")
    assert [one["of"] for one in content] == [one.of for one in awkward().correlations]
    first = awkward().correlations[0]
    assert content[0]["z"][0][0] is None
    assert content[0]["z"][0][1] == round(100 * first.matrix[0, 1])
    assert "The diagonal is left out." in content[0]["said"]


def test_what_is_left_out_of_a_map_is_said():
    found = awkward()
    assert found.atlas is not None
    fewer = replace(found.atlas, n_items=9_999, n_users=8_888)
    shown = visible(model_page(replace(found, atlas=fewer)))
    assert "120 items, drawn at random from 9,999" in shown
    assert "training users, drawn at random from 8,888" in shown
    assert "all 120 items" in visible(html())


def test_rare_labels_share_a_colour(monkeypatch):
    monkeypatch.setattr(plates, "_LABELS", 2)
    content = data(model_page(awkward()), "map-data")
    assert [group["name"] for group in content["labels"]] == ["bags", "lamps", "1 others"]
    assert set(content["items"]["label"]) == {0, 1, 2}


@pytest.mark.parametrize(
    ("name", "said", "absent"),
    [
        ("multvae", "Mult-VAE has no concepts", "Walks along dials"),
        ("ease", "no vectors either: there is no map", "The map"),
    ],
)
def test_models_without_concepts_have_a_shorter_page(name, said, absent, monkeypatch):
    monkeypatch.setattr(projection, "_EARLY", 5)
    monkeypatch.setattr(projection, "_LATE", 5)
    shown = visible(model_page(find(fitted(name), split(), baselines=False)))
    assert said in shown
    assert f"<h2>{absent}" not in shown
    assert "<h2>Concepts" not in shown
    why = "no log of its epochs" if name == "multvae" else "not trained in epochs"
    assert why in shown


def test_the_file_is_written_whole_into_a_new_folder(tmp_path):
    out = tmp_path / "new" / "report.html"
    write_model_report(awkward(), out)
    assert out.read_text(encoding="utf-8").rstrip().endswith("</html>")
    assert [path.name for path in out.parent.iterdir()] == ["report.html"]
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactError, match="cannot write to"):
        write_model_report(awkward(), tmp_path / "file" / "report.html")


def test_where_nothing_can_be_written_is_found_out_before(tmp_path):
    there = tmp_path / "there.html"
    there.write_text("mine")
    with pytest.raises(DataError, match="is there already; write to another"):
        check_out(there)
    check_out(there, overwrite=True)
    with pytest.raises(DataError, match="is a folder; name the file"):
        check_out(tmp_path)
    with pytest.raises(ArtifactError, match="no folder that can be written"):
        check_out(there / "below.html")
    check_out(tmp_path / "new" / "report.html")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("package", ["plotly", "openTSNE"])
def test_without_the_extra_it_is_named_before_any_work(package, monkeypatch):
    monkeypatch.setattr(pages, "find_spec", lambda name: name != package or None)
    with pytest.raises(MissingExtra, match=rf"{package} .* pip install 'macrid\[viz\]'"):
        need_extra()


def test_many_concepts_have_colours_of_their_own():
    assert len(set(colours(40))) == 40
    assert colours(3) == colours(40)[:3]


def test_in_a_browser_without_a_network_it_is_whole(tmp_path):
    (tmp_path / "report.html").write_text(html(), encoding="utf-8")
    wrong, asked = [], []
    with chromium() as browser:
        for width, scheme in ((1400, "light"), (390, "dark")):
            look = {"viewport": {"width": width, "height": 900}, "color_scheme": scheme}
            page = browser.new_context(offline=True, **look).new_page()
            page.on("console", lambda said: said.type == "error" and wrong.append(said.text))
            page.on("pageerror", lambda error: wrong.append(str(error)))
            page.on("request", lambda request: asked.append(request.url))
            page.goto((tmp_path / "report.html").as_uri())
            page.wait_for_selector(".js-plotly-plot")
            ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
            assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, width
            light = sum(map(int, re.findall(r"\d+", ground)[:3])) > 3 * 128
            assert light == (scheme == "light"), scheme
    assert not wrong
    assert not [url for url in asked if not url.startswith(("file:", "data:", "blob:"))]
