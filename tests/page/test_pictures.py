"""Pictures: what an item is like is seen, every text is escaped, and nothing is fetched."""

import re
from xml.etree import ElementTree

import pytest

from macrid.data.shop import open_shop
from macrid.page.pictures import concept_colour, initials, picture

ITEMS = open_shop(50, 800).items.to_dicts()


def scale(drawn):
    return float(re.search(r"scale\(([\d.]+)\)", drawn)[1])


def lightness(drawn):
    return int(re.search(r'fill="hsl\(\d+ \d+% (\d+)%\)"', drawn)[1])


def test_every_item_of_the_shop_is_drawn_and_is_xml():
    drawn = {picture(item) for item in ITEMS}
    for one in drawn:
        ElementTree.fromstring(one)
        assert "<text" not in one
        assert "FILL" not in one
        assert "DEEP" not in one
    styles = {(item["category"], item["style"]) for item in ITEMS}
    assert len(styles) == 31
    assert len(drawn) > len(ITEMS) / 2


@pytest.mark.parametrize("kind", ["bag", "lamp", "tent", "headphones"])
def test_the_large_are_larger(kind):
    some = next(item for item in ITEMS if item["category"] == kind)
    assert scale(picture(some | {"size": 0.05})) < scale(picture(some | {"size": 0.95}))


def test_long_dresses_are_longer_and_small_headphones_in_the_ear():
    dress = next(item for item in ITEMS if item["category"] == "dress")
    assert picture(dress | {"size": 0.1}) != picture(dress | {"size": 0.9})
    some = next(item for item in ITEMS if item["category"] == "headphones")
    assert "<rect" not in picture(some | {"size": 0.1})
    assert "<rect" in picture(some | {"size": 0.9})


def test_the_dark_are_darker_and_the_dear_have_more_dots():
    bag = next(item for item in ITEMS if item["category"] == "bag")
    assert lightness(picture(bag | {"darkness": 0.9})) < lightness(picture(bag | {"darkness": 0.1}))
    dots = [picture(bag | {"style": "tote", "price": p}).count("<circle") for p in (0, 0.5, 1)]
    assert dots == [1, 2, 3]


def test_colours_and_styles_are_told_apart():
    bag = next(item for item in ITEMS if item["category"] == "bag") | {"darkness": None}
    assert len({picture(bag | {"colour": c}) for c in ("red", "blue", "green", "grey")}) == 4
    assert len({picture(bag | {"style": s}) for s in ("tote", "travel", "evening")}) == 3


@pytest.mark.parametrize(
    "odd",
    [
        {"category": "bag", "style": "unheard"},
        {"category": "<b>", "title": '<script>"'},
        {"item_id": 7},
        {"category": None, "title": None, "item_id": "x"},
    ],
)
def test_what_is_not_of_the_shop_is_a_tile(odd):
    drawn = picture(odd, '"><script>')
    ElementTree.fromstring(drawn)
    assert "<text" in drawn
    assert "<script" not in drawn


def test_odd_numbers_are_the_middle_or_the_end():
    bag = {"category": "bag", "style": "tote", "colour": "puce"}
    middle = picture(bag | {"size": 0.5})
    assert picture(bag | {"size": float("nan")}) == picture(bag | {"size": "x"}) == middle
    assert picture(bag | {"size": 9}) == picture(bag | {"size": 1.0})


@pytest.mark.parametrize(
    ("image", "shown"),
    [
        ("data:image/png;base64,iVBORw0KGgo=", True),
        ("/covers/a%20b.png", True),
        ("https://elsewhere.example/a.png", False),
        ("//elsewhere.example/a.png", False),
        ("data:text/html;base64,AAAA", False),
        ('/a" onerror="alert(1)', False),
        (7, False),
        (None, False),
    ],
)
def test_an_image_is_shown_unless_another_host_would_be_asked(image, shown):
    drawn = picture({"title": "Alpha", "image": image})
    assert ("<img" in drawn) is shown
    assert "elsewhere" not in drawn


def test_concepts_have_colours_of_their_own():
    assert len({concept_colour(k) for k in range(30)}) == 30
    assert concept_colour(None) == concept_colour(-1) == concept_colour("x")


def test_initials_are_of_telling_words():
    assert initials("Star Wars: Episode IV - A New Hope (1977)") == "SW"
    assert initials("The The") == "TT"
    assert initials("") == "·"
