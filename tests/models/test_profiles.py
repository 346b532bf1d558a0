"""Profiles: written, edited, kept, and listed for as a history would be."""

import json
from functools import cache

import numpy as np
import pytest

import macrid
from macrid.errors import ArtifactError, ControlError, UnknownItem
from macrid.models.profiles import Profile
from steerable import PRICE, steerable, vectors_of

HISTORY = ["0-01", "0-02", "1-03"]
UP = {"dials": [{"concept": 0, "dimension": PRICE, "shift": 1.0}]}


@cache
def model():
    return steerable()


def test_a_profiles_list_is_its_historys():
    for controls in ({}, UP, {"concepts": {1: 0}, "diversity": 0.3}):
        mine = model().recommend_profile(model().profile(HISTORY), 20, controls=controls)
        listed = model().recommend({"me": HISTORY}, 20, controls=controls)
        assert mine["item_id"].equals(listed["item_id"])
        assert np.allclose(mine["score"], listed["score"], atol=1e-5)


def test_an_edited_profile_is_listed_for_as_if_the_dial_were_turned():
    edited = model().edit(model().profile(HISTORY), UP)
    turned = model().recommend({"me": HISTORY}, 20, controls=UP)
    assert model().recommend_profile(edited, 20)["item_id"].equals(turned["item_id"])
    values = vectors_of(model())[:, PRICE]
    plain = model().recommend({"me": HISTORY}, 20)
    means = [values[model().items.numbers(lists["item_id"])].mean() for lists in (plain, turned)]
    assert means[1] > means[0]


def test_an_edit_of_nothing_is_the_same_profile():
    profile = model().profile({"me": HISTORY})
    assert model().edit(profile, {}) == profile


def test_a_profile_is_kept_in_a_file(tmp_path):
    profile = model().edit(model().profile(HISTORY), UP)
    profile.write(tmp_path / "me.json")
    again = Profile.read(tmp_path / "me.json")
    assert again == profile
    assert model().recommend_profile(again).equals(model().recommend_profile(profile))
    model().save(tmp_path / "model")
    loaded = macrid.load(tmp_path / "model")
    assert loaded.recommend_profile(again).equals(model().recommend_profile(profile))


def test_another_models_profile_is_refused():
    profile = model().profile(HISTORY)
    other = steerable(seed=1)
    with pytest.raises(ControlError, match="another model's"):
        other.recommend_profile(profile)
    with pytest.raises(ControlError, match="another model's"):
        other.edit(profile, UP)
    cut = profile.model_copy(update={"points": tuple(point[:2] for point in profile.points)})
    with pytest.raises(ControlError, match="another model's"):
        model().recommend_profile(cut)


@pytest.mark.parametrize("factor", [0.0, 2.0, 1e300])
def test_points_that_were_changed_by_hand_are_refused(factor):
    mine = model().profile(HISTORY)
    points = tuple(tuple(factor * x for x in point) for point in mine.points)
    with pytest.raises(ControlError, match="not of unit length"):
        model().recommend_profile(mine.model_copy(update={"points": points}))


def test_a_profile_of_fewer_concepts_is_another_models():
    mine = model().profile(HISTORY)
    with pytest.raises(ControlError, match="another model's"):
        model().recommend_profile(mine.model_copy(update={"points": mine.points[:2]}))


def test_where_nothing_can_be_written_it_is_said(tmp_path):
    with pytest.raises(ArtifactError, match=r"profile to .*me.json: No such file"):
        model().profile(HISTORY).write(tmp_path / "nowhere" / "me.json")
    with pytest.raises(ArtifactError, match="cannot write the profile to /"):
        model().profile(HISTORY).write("/")


def test_only_dials_are_edits():
    with pytest.raises(ControlError, match="a profile cannot follow diversity; it follows dials"):
        model().edit(model().profile(HISTORY), {"diversity": 0.5})


def test_what_is_no_history_has_no_profile():
    with pytest.raises(ControlError, match="history is empty"):
        model().profile([])
    with pytest.raises(ControlError, match="not those of 2"):
        model().profile({"a": ["0-01"], "b": ["0-02"]})
    with pytest.raises(UnknownItem, match="'zz' is not in"):
        model().profile(["zz"])


def test_an_item_that_is_not_known_and_a_list_of_nothing_are_refused():
    profile = model().profile(HISTORY)
    with pytest.raises(UnknownItem, match="'zz' is not in"):
        model().recommend_profile(profile.model_copy(update={"items": ("zz",)}))
    with pytest.raises(ValueError, match="k is 0"):
        model().recommend_profile(profile, 0)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "cannot read the profile"),
        ("[]", "holds no profile"),
        ("{}", "holds no profile: model"),
        ({"points": [[float("nan")]]}, r"holds no profile: points\.0\.0"),
        ({"format": 2}, "holds no profile: format"),
    ],
)
def test_a_file_that_holds_no_profile_is_refused(tmp_path, content, words):
    path = tmp_path / "me.json"
    if isinstance(content, dict):
        whole = json.loads(model().profile(HISTORY).model_dump_json())
        content = json.dumps({**whole, **content})
    path.write_text(content)
    with pytest.raises(ControlError, match=words):
        Profile.read(path)
    with pytest.raises(ControlError, match="cannot read the profile"):
        Profile.read(tmp_path / "nothing.json")
