"""The map: neighbours stay neighbours, people stand among what they like, and it is drawn once."""

import sys
import threading
from itertools import combinations

import numpy as np
import pytest

from asking import refused, serving
from macrid.control.controls import Controls
from macrid.errors import ControlError
from macrid.models.artifact import load
from macrid.service import mapping
from macrid.service.holder import Holder
from macrid.service.mapping import among, components, draw
from planted import fitted

pytestmark = pytest.mark.xdist_group("mapping")  # a map takes seconds


@pytest.fixture(scope="module")
def served(folder):
    return Holder(folder).current


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("maps") / "model.map.npz"


@pytest.fixture(scope="module")
def plane(served, path):
    return draw(served, path)


def test_items_of_a_concept_lie_together(plane):
    assert plane.places.shape == (120, 2)
    assert np.abs(plane.places).max() == pytest.approx(1)
    between = np.linalg.norm(plane.places[:, None] - plane.places, axis=-1)
    np.fill_diagonal(between, np.inf)
    assert (plane.concept[between.argmin(1)] == plane.concept).mean() > 0.95


def test_it_is_kept_and_drawn_again_only_of_another_model_or_a_damaged_file(
    served, path, plane, monkeypatch
):
    drawn = []

    def placed(vectors):
        drawn.append(len(vectors))
        return np.zeros((len(vectors), 2), np.float32)

    monkeypatch.setattr(mapping, "_placed", placed)
    assert np.array_equal(draw(served, path).places, plane.places)
    assert not drawn
    other = path.with_name("other.npz")
    with np.load(path) as file:
        np.savez(other, places=file["places"], digest=np.array("of another"))
    draw(served, other)
    other.write_bytes(b"damaged")
    draw(served, other)
    np.savez(other, places=np.zeros((3, 2)), digest=np.array(served.digest))
    draw(served, other)
    assert drawn == [120] * 3
    draw(served, other)
    assert drawn == [120] * 3


def test_processes_that_ask_at_once_draw_it_once(served, path, monkeypatch):
    drawn, begun, leave = [], threading.Event(), threading.Event()

    def placed(vectors):
        drawn.append(1)
        begun.set()
        leave.wait(10)
        return np.zeros((len(vectors), 2), np.float32)

    monkeypatch.setattr(mapping, "_placed", placed)
    fresh = path.with_name("fresh.npz")
    threads = [threading.Thread(target=draw, args=(served, fresh)) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert begun.wait(10)
    leave.set()
    for thread in threads:
        thread.join(10)
    assert drawn == [1]


def test_a_folder_that_cannot_be_written_costs_the_file_alone(served, tmp_path, monkeypatch):
    monkeypatch.setattr(mapping, "_placed", lambda v: np.zeros((len(v), 2), np.float32))
    assert len(draw(served, tmp_path / "none" / "m.npz").places) == 120


def test_of_a_large_catalogue_some_are_placed_and_the_others_among_them(plane, monkeypatch):
    monkeypatch.setattr(mapping, "MOST", 90)
    places = mapping._placed(plane.vectors)
    between = np.linalg.norm(places[:, None] - places, axis=-1)
    np.fill_diagonal(between, np.inf)
    assert (plane.concept[between.argmin(1)] == plane.concept).mean() > 0.95


def test_without_opentsne_it_is_the_principal_axes(plane, monkeypatch):
    monkeypatch.setitem(sys.modules, "openTSNE", None)
    places = mapping._placed(plane.vectors)
    middle = [places[plane.concept == k].mean(0) for k in range(3)]
    assert min(np.linalg.norm(a - b) for a, b in combinations(middle, 2)) > 0.3


def test_among_is_the_same_in_blocks(plane, monkeypatch):
    whole = among(plane.vectors, plane.vectors, plane.places)
    monkeypatch.setattr(mapping, "_BLOCK", 7)
    assert np.allclose(among(plane.vectors, plane.vectors, plane.places), whole)


def test_a_person_stands_among_what_they_like_and_moves_with_a_dial(plane):
    history = ["0-01", "0-02", "2-03"]
    found = {one["concept"]: one for one in components(plane, history, Controls())}
    assert found[0]["confidence"] > found[2]["confidence"] > 0.1
    own = plane.places[plane.concept == 0]
    here = np.array([found[0]["x"], found[0]["y"]])
    assert (own.min(0) <= here).all()
    assert (here <= own.max(0)).all()
    dials = [{"concept": 0, "feature": "price", "shift": 1}]
    moved = {
        one["concept"]: one for one in components(plane, history, Controls.of({"dials": dials}))
    }
    assert (moved[0]["x"], moved[0]["y"]) != (found[0]["x"], found[0]["y"])
    assert (moved[2]["x"], moved[2]["y"]) == (found[2]["x"], found[2]["y"])
    assert components(plane, ["unknown"], Controls()) == []


def test_the_routes_answer_in_columns_and_places(client):
    said = client.get("/v1/map").json()
    assert said["item_id"][:2] == ["0-00", "0-01"]
    assert said["title"][0] == "Title 0-00"
    assert said["concept"][40] == 1
    assert {len(said[column]) for column in ("item_id", "title", "x", "y", "concept")} == {120}
    placed = client.post("/v1/map/place", {"history": ["1-01"]}).json()
    assert [one["name"] for one in placed["components"][:2]]
    refused(client.post("/v1/map/place", {"history": ["1-01"], "controls": {"dial": 1}}), 400, 422)


def test_a_model_without_vectors_has_no_map_and_one_without_concepts_no_components(tmp_path):
    fitted("ease").save(tmp_path / "ease")
    with serving(tmp_path / "ease", tmp_path / "s.sqlite") as client:
        assert "ease has no vectors of items" in refused(client.get("/v1/map"), 422)
    fitted("multvae").save(tmp_path / "vae")
    serving_ = Holder(tmp_path / "vae").current
    plane = draw(serving_, tmp_path / "m.npz")
    assert set(plane.concept) == {-1}
    with pytest.raises(ControlError, match="has no concepts"):
        components(plane, load(tmp_path / "vae").items.ids[:1].to_list(), Controls())
