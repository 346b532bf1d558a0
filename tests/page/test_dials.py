"""Cards: what has a name and can be turned comes first, what says the same twice does not come."""

from macrid.page.dials import cards, examples, knob_of


def found(**more):
    concept = {
        "concept": 0,
        "name": "bag",
        "n_items": 9,
        "terms": [{"term": "bag"}, {"term": "tote"}],
    }
    typical = [{"concept": 0, "item_id": n} for n in range(8)]
    rows = [("small", "large", "size"), ("pale", "dark", "darkness"), ("unnamed", "unnamed", None)]
    dimensions = [
        {"concept": 0, "dimension": n, "low": low, "high": high, "feature": feature}
        for n, (low, high, feature) in enumerate(rows)
    ]
    return {"concepts": [concept | more], "typical": typical, "dimensions": dimensions}


def feature(name, r2=None):
    return {"concept": 0, "feature": name, "r2": r2, "strength": 0.9}


def test_numbers_then_named_dimensions_then_terms_of_the_concepts_own():
    some = [feature("bag"), feature("tote"), feature("shoes"), feature("size", 0.8)]
    (card,) = cards(found(), some)
    assert [knob.dial for knob in card.knobs] == [(0, "size"), (0, 1), (0, "tote")]
    assert [knob.name for knob in card.knobs][1] == "pale to dark"
    assert card.typical == ("0", "1", "2", "3", "4")


def test_without_features_there_are_dimensions_and_without_names_their_numbers():
    (card,) = cards(found(), [])
    assert [knob.dial for knob in card.knobs] == [(0, 0), (0, 1)]
    nameless = found(name="unnamed", terms=[])
    for row in nameless["dimensions"]:
        row |= {"low": "unnamed", "high": "unnamed", "feature": None}
    (card,) = cards(nameless, [])
    assert card.name == "concept 0"
    assert card.knobs[0].name == "dimension 0 − to dimension 0 +"


def test_a_concept_without_items_has_no_card_and_nobody_likes_it():
    assert cards(found(n_items=0), []) == ()
    assert examples(()) == []


def test_a_dial_is_found_by_its_key_whatever_it_is_called():
    made = cards(found(), [feature("tote"), feature("size", 0.8)])
    for knob in made[0].knobs:
        assert knob_of(made, knob.key) is knob
    assert len({knob.key for knob in made[0].knobs}) == 3
    assert knob_of(made, "0:f:1") is None  # a feature of that name, not the dimension
