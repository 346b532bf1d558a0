"""Names that people gave: kept as they are, refused in words."""

import json

import pytest

from macrid.control.names import Names
from macrid.errors import SettingsError

GIVEN = Names().with_concept(2, " Bags ").with_dimension(2, 14, ("small", "large"))


def test_names_survive_their_json():
    assert Names.read(GIVEN.to_json().encode(), 7, 100) == GIVEN
    assert json.loads(GIVEN.to_json()) == {
        "concepts": {"2": "Bags"},
        "dimensions": {"2": {"14": ["small", "large"]}},
    }


def test_a_name_given_again_replaces_the_first_and_leaves_the_others():
    again = GIVEN.with_concept(2, "purses").with_concept(0, "bags")
    again = again.with_dimension(2, 3, ("pale", "dark")).with_dimension(2, 14, ("tiny", "huge"))
    assert again.concepts == {2: "purses", 0: "bags"}
    assert again.dimensions == {2: {14: ("tiny", "huge"), 3: ("pale", "dark")}}
    assert GIVEN.concepts == {2: "Bags"}


def test_a_name_taken_away_leaves_nothing_behind():
    assert GIVEN.with_concept(2, None).concepts == {}
    assert GIVEN.with_dimension(2, 14, None).dimensions == {}
    two = GIVEN.with_dimension(2, 3, ("pale", "dark"))
    assert two.with_dimension(2, 3, None) == GIVEN
    assert GIVEN.with_concept(0, None).with_dimension(1, 1, None) == GIVEN


@pytest.mark.parametrize("name", ["", "  ", "x" * 61, "a\nb", "12", "-3", "unnamed"])
def test_what_is_no_name_is_refused(name):
    with pytest.raises(SettingsError, match="is no name"):
        Names().with_concept(0, name)
    with pytest.raises(SettingsError, match="is no name"):
        Names().with_dimension(0, 0, ("low", name))


def test_ends_are_opposites():
    with pytest.raises(SettingsError, match="both ends of a dimension are called 'dark'"):
        Names().with_dimension(0, 0, ("dark", "Dark"))


def test_a_name_of_two_concepts_is_refused():
    with pytest.raises(SettingsError, match="a name means one concept"):
        GIVEN.with_concept(3, "bags")


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        (b"\xff", "it is no JSON"),
        (b"{", "it is no JSON"),
        (b"[1]", 'not {"concepts"'),
        (b'{"concept": {}}', "did you mean 'concepts'"),
        (b'{"concepts": {"bag": "bag"}}', "concepts is"),
        (b'{"concepts": {"7": "bag"}}', "there is no concept 7; the model's 7"),
        (b'{"concepts": {"-1": "bag"}}', "there is no concept -1"),
        (b'{"dimensions": {"0": {"100": ["a", "b"]}}}', "there is no dimension 100"),
        (b'{"dimensions": {"0": {"1": ["a"]}}}', "dimensions is"),
        (b'{"dimensions": {"9": {}}}', "there is no concept 9"),
    ],
)
def test_a_foreign_document_is_refused(document, complaint):
    with pytest.raises(SettingsError, match=complaint):
        Names.read(document, 7, 100)
