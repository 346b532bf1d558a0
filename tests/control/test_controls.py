"""Controls: the same JSON everywhere, and a sentence for whatever cannot be."""

import json

import pytest

from macrid.control.controls import Controls, closest
from macrid.errors import ControlError

FULL = {
    "concepts": {"bags": 2.0, "3": 0.0},
    "dials": [
        {"concept": "bags", "feature": "size", "shift": 0.6},
        {"concept": 2, "dimension": 14, "value": -0.1},
    ],
    "boost": {"tt99": 3.0},
    "block": ["tt12", 7],
    "diversity": 0.3,
    "popularity": 0.5,
}


def test_a_file_holds_what_python_says(tmp_path):
    path = tmp_path / "controls.json"
    path.write_text(json.dumps(FULL))
    controls = Controls.read(path)
    assert controls == Controls.of(FULL)
    assert controls.model_dump(mode="json", exclude_none=True) == FULL
    assert Controls.of(controls) is controls


def test_numbers_of_concepts_and_items_may_be_numbers():
    assert Controls.of({"concepts": {3: 0}, "boost": {99: 2}}) == Controls.of(
        {"concepts": {"3": 0.0}, "boost": {"99": 2.0}}
    )


def test_nothing_asked_is_the_default():
    assert Controls.of({}) == Controls()
    Controls().need_only((), "nobody")


def dial(**fields):
    return {"dials": [{"concept": 1, "dimension": 2, "shift": 0.5} | fields]}


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"concept": {}}, "there is no control 'concept'; known: concepts, dials"),
        ({"concepts": {"1": -1}}, "concepts.1 is -1, but should be greater than or equal to 0"),
        ({"concepts": {"1": float("nan")}}, "concepts.1 is nan, but should be a finite number"),
        ({"concepts": {"1": "much"}}, "concepts.1 is 'much', but should be a valid number"),
        ({"concepts": 3}, "concepts is 3, but should be names with values"),
        ({"boost": {"a": 0}}, "boost.a is 0, but should be greater than 0"),
        ({"boost": {"a": float("inf")}}, "boost.a is inf, but should be"),
        ({"block": "abc"}, "block is 'abc', but should be a list"),
        ({"diversity": 1.5}, "diversity is 1.5, but should be less than or equal to 1"),
        ({"popularity": -1}, "popularity is -1, but should be greater than or equal to 0"),
        (dial(shift=1.01), r"dials\[0\].shift is 1.01, but should be less than or equal to 1"),
        (dial(shift=None, value=float("nan")), r"dials\[0\].value is nan, but should be a finite"),
        (dial(value=0.1), "a dial is turned by either a shift"),
        (dial(shift=None), "a dial is turned by either a shift"),
        (dial(feature="size"), "a dial is either a dimension or a feature"),
        (dial(dimension=None), "a dial is either a dimension or a feature"),
        (dial(dimensoin=1), r"no control 'dials\[0\].dimensoin'; known: concept, dimension"),
        ([1], r"controls are \[1\], not named fields"),
    ],
)
def test_what_cannot_be_is_refused_in_words(wrong, words):
    with pytest.raises(ControlError, match=words):
        Controls.of(wrong)


@pytest.mark.parametrize("content", ["{", "[]", '{"diversity": 2}'])
def test_a_file_that_cannot_be_followed_is_named(tmp_path, content):
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(ControlError, match=r"cannot follow .*x\.json"):
        Controls.read(tmp_path / "x.json")
    with pytest.raises(ControlError, match=r"cannot follow .*missing"):
        Controls.read(tmp_path / "missing.json")


def test_what_a_model_does_not_follow_is_named():
    words = "ease cannot follow concepts and diversity; it follows block"
    with pytest.raises(ControlError, match=words):
        Controls.of({"concepts": {1: 2}, "diversity": 1, "block": ["a"]}).need_only(
            ["block"], "ease"
        )


def test_many_names_are_not_all_listed():
    assert closest("q", [f"name {n}" for n in range(20)]).endswith("name 11, …")
    assert closest("q", []) == "known: none"


class TestJson:
    def test_is_read_to_the_letter(self):
        said = '{"concepts": {"3": 0}, "dials": [{"concept": 0, "dimension": 5, "shift": 1}]}'
        assert Controls.of_json(said) == Controls.of(json.loads(said))

    @pytest.mark.parametrize(
        ("document", "said"),
        [
            ('{"diversity": "0.5"}', "diversity is '0.5', but should be a valid number"),
            ('{"diversity": NaN}', "diversity is nan, but should be a finite number"),
            ('{"x": 1}', "there is no control 'x'"),
            ("[]", "controls is .*, but should be an object"),
            ("{", "Invalid JSON"),
        ],
    )
    def test_that_says_what_cannot_be_is_refused(self, document, said):
        with pytest.raises(ControlError, match=said):
            Controls.of_json(document)
