"""Events, histories and saved controls over HTTP."""

import shutil

import pytest
from sqlalchemy import text

from asking import refused, serving
from macrid.service.storage.engine import open_engine
from steerable import steerable

EVENTS = [{"user_id": "ada", "item_id": item} for item in ("0-01", "0-02", "1-04")]


@pytest.fixture
def client(folder, tmp_path):
    """With a store of its own."""
    with serving(folder, tmp_path / "store.sqlite") as client:
        yield client


def listed(client, **asked):
    answer = client.post("/v1/recommend", asked)
    assert answer.status_code == 200, answer.text
    return [row["item_id"] for row in answer.json()["items"]]


def test_what_was_done_is_the_history_that_lists_are_made_of(client):
    assert client.post("/v1/events", {"events": EVENTS}).json() == {"added": 3, "replayed": False}
    events = client.get("/v1/users/ada/history").json()["events"]
    assert [event["item_id"] for event in events] == ["1-04", "0-02", "0-01"]
    history = [event["item_id"] for event in events]
    assert listed(client, user_id="ada") == listed(client, history=history)
    for route, asked in [
        ("encode", {}),
        ("explain", {"items": ["0-05"]}),
        ("walk", {"dimension": 4}),
    ]:
        by_user, by_history = (
            client.post(f"/v1/{route}", {**asked, **who}).json()
            for who in ({"user_id": "ada"}, {"history": history})
        )
        assert by_user == by_history


def test_a_person_by_number_is_the_person_by_text(client):
    client.post("/v1/events", {"events": [{"user_id": 7, "item_id": "0-01"}]})
    assert len(client.get("/v1/users/7/history").json()["events"]) == 1
    assert (
        listed(client, user_id=7) == listed(client, user_id="7") == listed(client, history=["0-01"])
    )


def test_a_person_whose_id_has_slashes_has_a_history(client):
    client.post("/v1/events", {"events": [{"user_id": "a/b c", "item_id": "0-01"}]})
    assert client.get("/v1/users/a%2Fb%20c/history").json()["user_id"] == "a/b c"
    assert len(client.get("/v1/users/a/b c/history").json()["events"]) == 1


def test_somebody_unknown_has_no_history_and_gets_popular_items(client):
    assert client.get("/v1/users/eve/history").json() == {"user_id": "eve", "events": []}
    assert client.post("/v1/recommend", {"user_id": "eve"}).json()["popular"] is True


def test_a_request_that_is_repeated_adds_nothing(client):
    keyed = {"headers": {"Idempotency-Key": "one"}}
    assert client.post("/v1/events", {"events": EVENTS}, **keyed).json()["replayed"] is False
    assert client.post("/v1/events", {"events": EVENTS}, **keyed).json() == {
        "added": 3,
        "replayed": True,
    }
    assert len(client.get("/v1/users/ada/history").json()["events"]) == 3
    said = refused(client.post("/v1/events", {"events": EVENTS[:1]}, **keyed), 422)
    assert "a new request needs a new key" in said


def test_times_decide_what_is_newest_and_limits_how_much(client):
    events = [{**event, "timestamp": 10 - n, "weight": 4.5} for n, event in enumerate(EVENTS)]
    client.post("/v1/events", {"events": events})
    found = client.get("/v1/users/ada/history", params={"limit": 2}).json()["events"]
    assert found == [
        {"item_id": "0-01", "weight": 4.5, "timestamp": 10.0},
        {"item_id": "0-02", "weight": 4.5, "timestamp": 9.0},
    ]


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ([], "events is [], but should have at least 1 item"),
        (EVENTS * 400, "should have at most 1000 items"),
        ([{"user_id": "ada"}], "events[0].item_id is missing"),
        ([{"user_id": "ada", "item_id": "a", "weight": "x"}], "events[0].weight is 'x'"),
        ([{"user_id": "", "item_id": "a"}], "should have at least 1 character"),
    ],
)
def test_what_is_no_event_is_refused(client, events, said):
    assert said in refused(client.post("/v1/events", {"events": events}), 400)


class TestControls:
    def test_are_followed_in_every_list_until_others_are_asked_for(self, client):
        client.post("/v1/events", {"events": EVENTS})
        plain, saved = listed(client, user_id="ada"), {"concepts": {"bed lamps": 0}}
        assert any(item.startswith("1-") for item in plain)
        put = client.put("/v1/users/ada/controls", saved).json()
        assert put["concepts"] == {"bed lamps": 0.0}
        assert client.get("/v1/users/ada/controls").json() == put
        assert not any(item.startswith("1-") for item in listed(client, user_id="ada"))
        assert listed(client, user_id="ada", controls={}) == plain

    def test_of_somebody_who_never_said_ask_for_nothing(self, client):
        found = client.get("/v1/users/eve/controls").json()
        assert found == {
            "concepts": {},
            "dials": [],
            "boost": {},
            "block": [],
            "diversity": 0.0,
            "popularity": 0.0,
        }

    @pytest.mark.parametrize(
        ("controls", "status", "said"),
        [
            ({"concepts": {"z": 1}}, 422, "there is no concept 'z'"),
            ({"block": ["z"]}, 404, "item 'z' is not in the model's"),
            ({"diversity": "0.5"}, 422, "diversity is '0.5', but should be a valid number"),
            ([], 422, "controls is [], but should be an object"),
        ],
    )
    def test_that_cannot_be_followed_are_not_saved(self, client, controls, status, said):
        assert said in refused(client.put("/v1/users/ada/controls", controls), status)
        assert client.get("/v1/users/ada/controls").json()["block"] == []


def test_saved_controls_outlive_the_model_that_they_were_saved_for(folder, tmp_path):
    """Whose numbers mean nothing to the next one; its names and the items do."""
    place, saved = (
        tmp_path / "model",
        {
            "concepts": {"0": 3, "bed lamps": 0},
            "dials": [
                {"concept": "bed lamps", "feature": "price", "shift": 0.5},
                {"concept": "bed lamps", "dimension": 2, "shift": 0.5},
            ],
            "boost": {"0-03": 2, "0-39": 3},
            "block": ["0-05"],
            "popularity": 0.1,
        },
    )
    shutil.copytree(folder, place)
    with serving(place, tmp_path / "s.sqlite") as client:
        client.post("/v1/events", {"events": EVENTS})
        assert client.put("/v1/users/ada/controls", saved).status_code == 200
        asked = {"user_id": "ada", "k": 50}
        first = client.post("/v1/recommend", asked).json()
        assert first["left_out"] == []
        (place / "names.json").write_text('{"concepts": {"1": "bed lamps"}}')
        assert client.post("/v1/admin/reload").json()["changed"]
        assert client.post("/v1/recommend", asked).json() == first  # names are no other model
        shutil.rmtree(place)
        other = steerable(30, seed=1)
        other.name_concept(2, "Bed Lamps")
        other.save(place)
        assert client.post("/v1/admin/reload").json()["changed"]
        then = client.post("/v1/recommend", asked).json()
        kept = {
            "concepts": {"bed lamps": 0},
            "dials": saved["dials"][:1],
            "boost": {"0-03": 2},
            "block": ["0-05"],
            "popularity": 0.1,
        }
        assert (
            then["items"]
            == client.post("/v1/recommend", asked | {"controls": kept}).json()["items"]
        )
        assert [said.split(":")[0] for said in then["left_out"]] == [
            "the weight of concept 0",
            "the dial 2 of concept bed lamps",
            "boost of 1 items",
        ]
        assert client.get("/v1/users/ada/controls").json()["boost"] == saved["boost"]


def test_an_id_may_have_lines(client):
    events = [{"user_id": "a\nb/c", "item_id": "0-03", "timestamp": 5}]
    assert client.post("/v1/events", {"events": events}).json()["added"] == 1
    found = client.get("/v1/users/a%0Ab%2Fc/history").json()["events"]
    assert [event["item_id"] for event in found] == ["0-03"]


def test_a_walk_from_somebodys_history_passes_over_what_is_not_known(client):
    events = [{"user_id": "kim", "item_id": item} for item in ("0-03", "gone")]
    client.post("/v1/events", {"events": events})
    asked = {"concept": 0, "dimension": 4}
    found = client.post("/v1/walk", {"user_id": "kim", **asked}).json()
    assert found["unknown"] == ["gone"]
    assert found["items"] == client.post("/v1/walk", {"history": ["0-03"], **asked}).json()["items"]
    nothing = client.post("/v1/walk", {"history": ["gone"], **asked})
    assert "history is empty" in refused(nothing, 422)


def test_histories_come_from_the_operators_own_table(folder, tmp_path):
    theirs = f"sqlite:///{tmp_path / 'theirs.sqlite'}"
    engine = open_engine(theirs)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE clicks (person INTEGER, item TEXT, day INTEGER)"))
        connection.execute(text("INSERT INTO clicks VALUES (7, '0-01', 1), (7, '1-04', 2)"))
    engine.dispose()
    query = "SELECT item FROM clicks WHERE person = :user_id ORDER BY day DESC"
    asked = {"history_query": query, "history_url": theirs}
    with serving(folder, tmp_path / "store.sqlite", **asked) as client:
        assert listed(client, user_id=7) == listed(client, history=["1-04", "0-01"])
        assert client.post("/v1/recommend", {"user_id": "nobody"}).json()["popular"] is True
        found = client.get("/v1/users/7/history").json()
        assert found == {"user_id": "7", "events": [{"item_id": "1-04"}, {"item_id": "0-01"}]}
        said = refused(client.post("/v1/events", {"events": EVENTS}), 409)
        assert "write them to the table that it reads" in said
