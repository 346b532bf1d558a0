"""What is asked of the model over HTTP is what the library and the command line say."""

import json
import re
from itertools import pairwise
from pathlib import Path

import hypothesis.strategies as st
import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings

import macrid
from asking import refused, serving
from macrid.cli.app import run
from planted import fitted

HISTORY = ["0-01", "0-02", "1-04"]
CONTROLS = {
    "concepts": {"bed lamps": 2},
    "dials": [{"concept": 0, "feature": "price", "shift": 0.7}],
    "boost": {"2-03": 50},
    "block": ["0-10"],
    "diversity": 0.2,
    "popularity": 0.1,
}


def told(words, capsys):
    """The document that a command prints."""
    assert run([str(word) for word in [*words, "--json"]]) == 0
    return json.loads(capsys.readouterr().out)


def bare(items):
    """Places on a list as the library has them."""
    return [{name: row[name] for name in ("item_id", "score", "rank")} for row in items]


class TestRecommend:
    @pytest.mark.parametrize("controls", [None, CONTROLS])
    def test_is_what_python_and_the_command_line_say(
        self, client, model, folder, tmp_path, capsys, controls
    ):
        asked = {"history": HISTORY, "k": 15} | ({"controls": controls} if controls else {})
        items = bare(client.post("/v1/recommend", asked).json()["items"])
        lists = model.recommend({"me": HISTORY}, 15, controls=controls)
        assert items == lists.drop("user_id").to_dicts()
        words = ["recommend", folder, "--items", ",".join(HISTORY), "-k", 15]
        if controls:
            (tmp_path / "c.json").write_text(json.dumps(controls))
            words += ["--controls", tmp_path / "c.json"]
        rows = told(words, capsys)["recommendations"]
        assert items == [{n: v for n, v in row.items() if n != "user_id"} for row in rows]

    def test_only_and_never_and_again(self, client, model):
        only = [f"0-{n:02d}" for n in range(8)]
        asked = {"history": HISTORY, "items": only, "exclude": ["0-03"], "include_seen": True}
        items = bare(client.post("/v1/recommend", asked).json()["items"])
        lists = model.recommend({"": HISTORY}, 20, **{n: asked[n] for n in asked if n != "history"})
        assert items == lists.drop("user_id").to_dicts()
        assert {row["item_id"] for row in items} == {*only} - {"0-03"}

    def test_items_have_titles_and_reasons_if_asked_for(self, client, model):
        asked = {"history": HISTORY, "k": 3, "explain": True}
        items = client.post("/v1/recommend", asked).json()["items"]
        assert [row["title"] for row in items] == [f"Title {row['item_id']}" for row in items]
        why = model.explain(HISTORY, [row["item_id"] for row in items]).items["sentence"]
        assert [row["why"] for row in items] == why.to_list()

    def test_unknown_items_are_named_and_left_out(self, client):
        found = client.post("/v1/recommend", {"history": ["?", *HISTORY, 7]}).json()
        assert found["unknown"] == ["?", 7]
        assert found["items"] == client.post("/v1/recommend", {"history": HISTORY}).json()["items"]
        asked = {"history": ["?"], "on_unknown": "raise"}
        assert "item '?' is not in the model's 120 items" in refused(
            client.post("/v1/recommend", asked), 404
        )

    def test_who_had_nothing_gets_popular_items_and_is_told(self, client, model):
        found = client.post("/v1/recommend", {"history": ["?"], "k": 4}).json()
        assert found["popular"] is True
        with pytest.warns(macrid.errors.MacridWarning):
            lists = model.recommend({"": []}, 4)
        assert bare(found["items"]) == lists.drop("user_id").to_dicts()

    def test_neighbours_get_what_they_would_get_alone(self, client):
        people = [
            {"history": [f"{c}-{n:02d}" for n in range(first, first + 2)], "k": k, **seen}
            for first, c, k, seen in [
                (n, n % 3, 1 + n % 7, {"include_seen": True} if n % 5 == 0 else {})
                for n in range(30)
            ]
        ]
        people.append({"history": [], "k": 3})
        together = client.at_once([("POST", "/v1/recommend", {"json": one}) for one in people])
        alone = [client.post("/v1/recommend", one) for one in people]
        assert [one.json() for one in together] == [one.json() for one in alone]
        assert [len(one.json()["items"]) for one in alone] == [one["k"] for one in people]


def test_the_readmes_request_is_answered(client):
    """With the ids of this model in place of the demo's."""
    readme = (Path(__file__).resolve().parents[2] / "README.md").read_text()
    (asked,) = re.findall(r"/v1/recommend -d '(.*?)'\n```", readme, re.DOTALL)
    asked = asked.replace("bag-00001", "0-01").replace("bag-00080", "0-02")
    headers = {"Content-Type": "application/json"}
    answer = client.request("POST", "/v1/recommend", content=asked, headers=headers)
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["items"]) == 5
    assert all(row["why"] for row in answer.json()["items"])


ids = st.sampled_from([f"{k}-{n:02d}" for k in range(3) for n in range(40)])


@hypothesis_settings(max_examples=20)
@given(
    history=st.lists(ids, max_size=30),
    k=st.integers(1, 1000),
    items=st.none() | st.lists(ids, max_size=20),
    exclude=st.lists(ids, max_size=20),
    include_seen=st.booleans(),
)
def test_lists_keep_the_contract_over_http(client, history, k, items, exclude, include_seen):
    asked = {"history": history, "k": k, "exclude": exclude, "include_seen": include_seen}
    found = client.post("/v1/recommend", asked | ({} if items is None else {"items": items})).json()
    rows = found["items"]
    everything = {f"{c}-{n:02d}" for c in range(3) for n in range(40)}
    allowed = (everything if items is None else {*items}) - {*exclude}
    # Popular items are for anybody: there is nothing that a person without a history has seen.
    allowed -= set() if include_seen else {*history}
    assert len(rows) == min(k, len(allowed))
    listed = [row["item_id"] for row in rows]
    assert len({*listed}) == len(listed)
    assert {*listed} <= allowed
    assert [row["rank"] for row in rows] == list(range(1, len(rows) + 1))
    assert all(a["score"] >= b["score"] for a, b in pairwise(rows))


def test_similar_is_what_python_and_the_command_line_say(client, folder, capsys, model):
    found = client.post("/v1/similar", {"items": ["0-01", "1-02"], "k": 3}).json()["items"]
    rows = told(["similar", folder, "0-01", "1-02", "-k", 3], capsys)["similar"]
    assert [{n: row[n] for n in rows[0]} for row in found] == rows
    assert rows == model.similar_items(["0-01", "1-02"], 3).to_dicts()


def test_explain_is_what_python_and_the_command_line_say(client, folder, capsys, model):
    found = client.post("/v1/explain", {"history": HISTORY, "items": ["0-07", "1-09"]}).json()
    words = ["explain", folder, "--history", ",".join(HISTORY), "--item", "0-07,1-09"]
    assert found == told(words, capsys)
    assert found == {"model": "macridvae", **model.explain(HISTORY, ["0-07", "1-09"]).to_dict()}


@pytest.mark.parametrize("dimension", ["price", 4, "dear"])
def test_walk_is_what_the_command_line_says(client, folder, capsys, dimension):
    found = client.post("/v1/walk", {"item_id": "0-07", "dimension": dimension, "steps": 5}).json()
    words = ["walk", folder, "--item", "0-07", "--dimension", dimension, "--steps", 5]
    assert found == {"unknown": [], **told(words, capsys)}
    found = client.post("/v1/walk", {"history": HISTORY, "concept": 0, "feature": "price"}).json()
    words = ["walk", folder, "--history", ",".join(HISTORY), "--concept", 0, "--dimension", "price"]
    assert found == {"unknown": [], **told(words, capsys)}


def test_concepts_are_what_the_command_line_says(client, folder, capsys):
    found = client.get("/v1/concepts", params={"top": 3, "dimensions": 2}).json()
    assert found == told(["concepts", folder, "--top", 3, "--dimensions", 2], capsys)


def test_encode_is_what_python_says(client, model):
    found = client.post("/v1/encode", {"history": [*HISTORY, "?"]}).json()
    said = model.encode({"": HISTORY}).to_frame()
    assert [row["mean"] for row in found["concepts"]] == said["mean"].to_list()
    assert [row["confidence"] for row in found["concepts"]] == said["confidence"].to_list()
    assert [row["name"] for row in found["concepts"]] == ["bags", "bed lamps", "tents"]
    assert found["unknown"] == ["?"]


def test_dials_have_ends_and_features(client, model):
    found = client.get("/v1/dials", params={"dimensions": 1}).json()
    assert found["features"] == model.dials().to_dicts()
    assert [row["concept"] for row in found["dimensions"]] == [0, 1, 2]
    assert {"low", "high"} <= found["dimensions"][0].keys()


class TestItems:
    def test_are_searched_by_title_or_id_whatever_the_case(self, client):
        found = client.get("/v1/items", params={"query": "TITLE 1-0", "size": 4}).json()
        assert (found["total"], found["page"], found["size"]) == (10, 1, 4)
        events = [row["train_events"] for row in found["items"]]
        assert events == sorted(events, reverse=True)

    def test_pages_have_all_of_them_once(self, client):
        pages = [
            client.get("/v1/items", params={"query": "-1", "page": p, "size": 7}).json()["items"]
            for p in range(1, 8)
        ]
        found = [row["item_id"] for page in pages for row in page]
        assert len({*found}) == len(found) == 30
        assert client.get("/v1/items", params={"page": 99}).json()["items"] == []

    def test_every_word_of_a_query_is_held_in_whatever_order(self, client):
        found = client.get("/v1/items", params={"query": " 1-07  title "}).json()["items"]
        assert [row["item_id"] for row in found] == ["1-07"]

    def test_a_query_is_text_and_no_pattern(self, client):
        assert client.get("/v1/items", params={"query": ".*"}).json()["total"] == 0

    def test_some_are_asked_for_by_their_ids_and_come_in_that_order(self, client):
        found = client.get("/v1/items", params={"id": ["1-02", "0-01"], "query": "nothing"}).json()
        assert [row["item_id"] for row in found["items"]] == ["1-02", "0-01"]
        assert [row["concept"] for row in found["items"]] == [1, 0]
        assert (found["total"], found["page"]) == (2, 1)
        refused(client.get("/v1/items", params={"id": ["1-02", "none"]}), 404)
        refused(client.get("/v1/items", params={"id": [str(n) for n in range(101)]}), 400)

    def test_one_has_its_features(self, client, model):
        found = client.get("/v1/items/0-01").json()
        assert found == model.catalogue.row(1, named=True) | {"concept": 0}
        assert "not in the model's 120 items" in refused(client.get("/v1/items/none"), 404)


@pytest.mark.parametrize(
    ("route", "asked", "said"),
    [
        ("recommend", {}, "give either a history or a user_id"),
        ("recommend", {"history": [], "user_id": 1}, "give either a history or a user_id"),
        ("recommend", {"history": [], "k": 0}, "k is 0, but should be greater than or equal to 1"),
        ("recommend", {"history": [], "k": 10**9}, "k is 1000000000, but should be less than"),
        ("recommend", {"history": [], "k": "5"}, "k is '5', but should be a valid integer"),
        ("recommend", {"history": [], "kk": 5}, "there is no 'kk' here"),
        ("recommend", {"history": ["a"] * 10_001}, "should have at most 10000 items"),
        ("recommend", {"history": [1.5]}, "history[0] is 1.5"),
        ("recommend", {"history": ["a\0"]}, "holds a NUL"),
        ("recommend", {"history": [2**63]}, "should be less than or equal to 9000000000000000000"),
        (
            "recommend",
            {"history": [], "controls": {"diversity": 2}},
            "diversity is 2, but should be",
        ),
        (
            "recommend",
            {"history": [], "controls": {"x": 2}},
            "there is no control 'x'; known: conc",
        ),
        (
            "recommend",
            {"history": [], "controls": {"concepts": {"z": 2}}},
            "there is no concept 'z'",
        ),
        (
            "explain",
            {"history": ["?"], "items": ["0-01"]},
            "the history holds no item that the mod",
        ),
        ("explain", {"history": HISTORY}, "items is missing"),
        ("walk", {"item_id": "0-01"}, "name either a dimension or a feature to go along"),
        ("walk", {"dimension": 1}, "give one of item_id, history and user_id to start from"),
        ("walk", {"item_id": "0-01", "dimension": 99}, "dimension"),
        ("walk", {"item_id": "0-01", "feature": "smell"}, "smell"),
        ("walk", {"item_id": "0-01", "dimension": 1, "steps": 51}, "steps is 51"),
        ("walk", {"history": [], "dimension": 1}, "the history is empty, so nothing is known"),
        ("similar", {"items": []}, "should have at least 1 item"),
    ],
)
def test_what_cannot_be_asked_is_a_sentence(client, route, asked, said):
    assert said in refused(client.post(f"/v1/{route}", asked), 400, 422)


def test_what_is_not_as_described_is_told_from_what_the_model_cannot_do(client):
    assert refused(client.post("/v1/recommend", {"history": [], "k": 0}), 400)
    assert refused(client.post("/v1/recommend", {}), 422)
    asked = {"history": [], "controls": {"concepts": {"z": 2}}}
    assert refused(client.post("/v1/recommend", asked), 422)


def test_items_that_the_model_does_not_know_are_passed_over_and_named(client):
    asked = {"history": ["0-01", "old"], "items": ["0-03", "new"], "exclude": ["0-04", "gone"]}
    found = client.post("/v1/recommend", asked).json()
    assert [row["item_id"] for row in found["items"]] == ["0-03"]
    assert found["unknown"] == ["old", "new", "gone"]
    assert (
        client.post("/v1/recommend", {"history": ["0-01"], "items": ["new"]}).json()["items"] == []
    )
    for field in ("items", "exclude"):
        strict = {"history": ["0-01"], "on_unknown": "raise", field: ["new"]}
        assert "'new' is not in the model's" in refused(client.post("/v1/recommend", strict), 404)


def test_too_many_dials_are_refused(client):
    dials = [{"concept": 0, "dimension": 1, "shift": 1}] * 101
    asked = {"history": [], "controls": {"dials": dials}}
    said = refused(client.post("/v1/recommend", asked), 422)
    assert said == "dials has 101 entries; 100 are allowed"


@pytest.fixture(scope="module")
def numbers(tmp_path_factory):
    """A model without concepts, of a shop whose ids are numbers."""
    folder = tmp_path_factory.mktemp("ease") / "model"
    clicks = pl.DataFrame({"user": [1, 1, 2, 2, 3], "item": [10, 20, 20, 30, 10]})
    macrid.EASE(regularization=1).fit(macrid.read(clicks)).save(folder)
    with serving(folder, folder.with_name("store.sqlite")) as client:
        yield client


class TestOtherModels:
    def test_numbers_are_found_as_numbers_and_as_text(self, numbers):
        by_number, by_text = (
            numbers.post("/v1/recommend", {"history": history}).json() for history in ([10], ["10"])
        )
        assert by_number == by_text
        assert [row["item_id"] for row in by_number["items"]] == [20, 30]
        assert numbers.get("/v1/items/30").json()["item_id"] == 30
        unknown = numbers.post("/v1/recommend", {"history": ["010", 5, 10]}).json()["unknown"]
        assert unknown == ["010", 5]

    def test_an_explanation_is_by_past_items(self, numbers):
        found = numbers.post("/v1/explain", {"history": [10], "items": [20]}).json()
        assert found["concepts"] is None
        assert found["items"][0]["sentence"].startswith("20 is carried by 10")

    @pytest.mark.parametrize(
        ("method", "route", "asked"),
        [
            ("GET", "concepts", None),
            ("GET", "dials", None),
            ("POST", "encode", {"history": [10]}),
            ("POST", "walk", {"item_id": 10, "dimension": 1}),
        ],
    )
    def test_what_has_no_concepts_says_so(self, numbers, method, route, asked):
        what = {} if asked is None else {"json": asked}
        said = refused(numbers.request(method, f"/v1/{route}", **what), 422)
        assert said.startswith("ease has no concepts; train macridvae")

    def test_controls_that_it_cannot_follow_are_refused(self, numbers):
        asked = {"history": [10], "controls": {"diversity": 0.5}}
        said = refused(numbers.post("/v1/recommend", asked), 422)
        assert said == "ease cannot follow diversity; it follows block"

    def test_a_network_without_concepts_lists_as_python_does(self, tmp_path):
        model = fitted("multvae")
        model.save(tmp_path / "model")
        history = model.items.ids[:3].to_list()
        asked = {"history": history, "controls": {"boost": {str(model.items.id(9)): 9}}}
        with serving(tmp_path / "model", tmp_path / "s.sqlite") as client:
            found = client.post("/v1/recommend", asked).json()["items"]
        lists = model.recommend({"": history}, 20, controls=asked["controls"])
        assert bare(found) == lists.drop("user_id").to_dicts()
