"""The link: it restores what was asked for, to the letter, and nothing else is taken for one."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from macrid.control.controls import Controls
from macrid.page.state import LONGEST, MOST_HAD, BadLink, State, changes

IDS = st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=12
)
CONCEPTS = st.integers(0, 9)
DIALS = st.tuples(CONCEPTS, st.one_of(st.integers(0, 99), IDS))
SAID = st.tuples(
    st.lists(IDS, max_size=8),
    st.dictionaries(CONCEPTS, st.integers(0, 300)),
    st.dictionaries(DIALS, st.integers(-100, 100), max_size=8),
)


def state_of(said):
    """Not in a strategy: the checks of annotations draw at random."""
    had, weights, dials = said
    state = State().having(*had)
    for concept, weight in weights.items():
        state = state.weighed(concept, weight / 100)
    for dial, shift in dials.items():
        state = state.turned(dial, shift / 100)
    return state


@given(SAID)
def test_a_link_restores_the_state(said):
    state = state_of(said)
    assert State.of_link(state.link()) == state


@given(SAID)
def test_controls_are_those_of_the_library(said):
    state = state_of(said)
    asked = Controls.of(state.controls())
    assert len(asked.dials) == len(state.dials)
    assert asked.concepts == {str(concept): weight for concept, weight in state.weights}


@given(st.text(max_size=60))
def test_whatever_a_link_says_it_is_a_state_or_refused_in_words(query):
    with suppress(BadLink):
        state = State.of_link(query)
        assert State.of_link(state.link()) == state


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("hat=a", "says 'hat'; it may say had, weight, dimension, feature"),
        ("nonsense", "says 'nonsense'"),
        ("had=", "means nothing"),
        (f"had={'a' * 300}", "means nothing"),
        ("had=%00", "means nothing"),
        ("had=%ff", "the link says"),
        ("weight=0:4", "weight='0:4', which means nothing"),
        ("weight=0:nan", "means nothing"),
        ("weight=-1:1", "means nothing"),
        ("dimension=0:x:0.5", "means nothing"),
        ("dimension=0:1:2", "means nothing"),
        ("feature=0:0.5:", "means nothing"),
        ("&".join(f"had=i{n}" for n in range(MOST_HAD + 1)), f"{MOST_HAD} are allowed"),
        ("&".join(f"weight={n}:2" for n in range(41)), "41 weights; 40 are allowed"),
        ("&".join(f"dimension=0:{n}:1" for n in range(41)), "41 dials; 40 are allowed"),
        ("had=" + "a" * LONGEST, "letters; 6,000 are allowed"),
    ],
)
def test_a_bad_link_is_a_sentence(query, said):
    with pytest.raises(BadLink, match="the link") as refused:
        State.of_link(query)
    assert said in str(refused.value)


def test_an_empty_link_is_nobody():
    assert State.of_link("") == State()


def test_nothing_is_had_twice_and_the_earliest_goes():
    state = State().having("a", "b", "a")
    assert state.history == ("a", "b")
    assert state.having("b") == state
    many = state.having(*map(str, range(MOST_HAD)))
    assert len(many.history) == MOST_HAD
    assert many.history[-1] == str(MOST_HAD - 1)
    assert state.without("a").history == ("b",)


def test_what_is_as_it_was_is_not_said():
    state = State(("a",)).weighed(1, 2).turned((0, "size"), 0.5)
    assert state.weighed(1, 1).turned((0, "size"), 0) == State(("a",))
    assert state.untouched() == State(("a",))
    assert state.weighed(1, 99).weights == ((1, 3.0),)
    assert state.turned((0, "size"), -9).dials == (((0, "size"), -1.0),)


def test_changes_are_places_gained_and_who_left():
    assert changes([], ["a"]) == ({"a": None}, [])
    assert changes(["a", "b"], ["b", "a"]) == ({"b": 1, "a": -1}, [])
