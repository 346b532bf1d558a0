"""`macrid steer`, `walk` and `recommend --controls` as people meet them."""

import json

import pytest

import macrid
from macrid.cli.app import run
from macrid.cli.steer import show_change, show_walk, try_a_dial
from planted import fitted
from steerable import PRICE, steerable

HISTORY = "0-01,0-02,0-03,1-04"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model with known answers, saved."""
    path = tmp_path_factory.mktemp("models") / "steerable"
    model = steerable()
    model.name_concept(1, "bed lamps")
    model.name_dimension(0, PRICE, "cheap", "dear")
    model.save(path)
    return path


def told(words, capsys):
    """The document that a command prints."""
    assert run([str(word) for word in [*words, "--json"]]) == 0
    return json.loads(capsys.readouterr().out)


def refused(words, capsys):
    """The sentence of a command that must be refused."""
    assert run([str(word) for word in words]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err.strip().splitlines()[-1]


class TestSteer:
    @pytest.mark.parametrize("dial", ["price", "4", "dear"])
    def test_tells_both_lists_and_what_changed(self, folder, capsys, dial):
        words = ["steer", folder, "--history", HISTORY, "--dimension", f"{dial}=+1", "-k", 20]
        found = told(words, capsys)
        model = macrid.load(folder)
        price = dict(model.catalogue.select("item_id", "price").iter_rows())

        def mean(rows):
            known = [price[r["item_id"]] for r in rows if r["item_id"].startswith("0")]
            return sum(p for p in known if p is not None) / len(known)

        assert mean(found["after"][:8]) > mean(found["before"][:8])
        came = {row["item_id"] for row in found["changes"] if row["change"] == "came"}
        before, after = ({row["item_id"] for row in found[key]} for key in ("before", "after"))
        assert came == after - before
        assert found["controls"]["dials"][0]["concept"] == 0

    def test_a_table_has_titles_and_marks_what_is_new(self, folder, capsys):
        words = [
            "steer",
            folder,
            "--history",
            HISTORY,
            "--weight",
            "bed lamps=0",
            "--block",
            "0-09",
        ]
        assert run(list(map(str, words))) == 0
        captured = capsys.readouterr()
        assert "before" in captured.out
        assert "Title 0-" in captured.out
        assert "new" in captured.out
        assert "came" in captured.err
        assert "1-" not in "".join(line.split("Title")[-1] for line in captured.out.splitlines())

    def test_a_value_is_where_the_dial_then_stands(self, folder, tmp_path, capsys):
        model = macrid.load(folder)
        cuts = model.walk(HISTORY.split(","), 0, feature="price").steps.cuts
        kept = tmp_path / "me.json"
        words = ["steer", folder, "--history", HISTORY, "--concept", 0, "--save", kept]
        for value in (float(cuts[1]), float(cuts[-2])):
            kept.unlink(missing_ok=True)
            found = told([*words, "--value", f"price={value}"], capsys)
            assert found["controls"]["dials"] == [
                {"concept": "0", "feature": "price", "value": value}
            ]
            point = macrid.Profile.read(kept).points[0]
            direction = model.dial(0, feature="price").direction
            assert point @ direction == pytest.approx(value, abs=1e-5)

    def test_a_person_is_kept_edited_and_listed_for_again(self, folder, tmp_path, capsys):
        kept = tmp_path / "me.json"
        words = ["steer", folder, "--dimension", "price=+1", "--weight", "1=0", "--save", kept]
        found = told([*words, "--history", HISTORY], capsys)
        again = told(["recommend", folder, "--profile", kept], capsys)["recommendations"]
        turned = macrid.load(folder).recommend(
            {"me": HISTORY.split(",")}, controls={"dials": found["controls"]["dials"]}
        )
        assert [row["item_id"] for row in again] == turned["item_id"].to_list()  # no weights
        back = ["steer", folder, "--profile", kept, "--dimension", "price=-1", "-k", 5]
        before = told(back, capsys)
        assert [r["item_id"] for r in before["before"]] == [r["item_id"] for r in again[:5]]
        assert before["after"] != before["before"]
        assert "is there already" in refused([*words, "--history", HISTORY], capsys)
        assert told([*back, "--save", kept], capsys)["after"] == before["after"]  # its own file
        assert "either --history" in refused([*back, "--history", HISTORY], capsys)
        words = ["recommend", folder, "--profile", kept]
        assert "goes with -k" in refused([*words, "--only", "0-01"], capsys)
        assert "or --profile FILE" in refused([*words, "--items", "0-01"], capsys)
        kept.write_text("{}")
        assert "holds no profile" in refused(words, capsys)

    def test_flags_come_on_top_of_a_file(self, folder, tmp_path, capsys):
        path = tmp_path / "controls.json"
        path.write_text('{"concepts": {"0": 2}, "diversity": 0.2, "block": ["0-05"]}')
        words = ["steer", folder, "--history", HISTORY, "--controls", path, "--diversity", 0.5]
        words += ["--boost", "2-02=5", "--popularity", 0.1, "--block", "0-06", "--weight", "1=0.5"]
        assert told(words, capsys)["controls"] == {
            "concepts": {"0": 2, "1": 0.5},
            "dials": [],
            "boost": {"2-02": 5},
            "block": ["0-05", "0-06"],
            "diversity": 0.5,
            "popularity": 0.1,
        }

    def test_a_flag_turns_a_dial_of_the_file_anew(self, folder, tmp_path, capsys):
        path = tmp_path / "controls.json"
        dials = [{"concept": 0, "dimension": d, "shift": 1} for d in (PRICE, 1)]
        path.write_text(json.dumps({"dials": dials}))
        words = ["steer", folder, "--history", HISTORY, "--controls", path, "--concept", 0]
        found = told([*words, "--dimension", "dear=0.5"], capsys)["controls"]["dials"]
        assert found == [dials[1], {"concept": "0", "dimension": "dear", "shift": 0.5}]

    def test_nothing_asked_changes_nothing(self, folder, capsys):
        found = told(["steer", folder, "--history", HISTORY], capsys)
        assert found["before"] == found["after"]
        assert {row["change"] for row in found["changes"]} == {"stayed"}

    @pytest.mark.parametrize(
        ("flags", "words"),
        [
            (["--dimension", "price=much"], "--dimension price is 'much', which is no number"),
            (["--dimension", "price"], "--dimension 'price' is not of the form name=value"),
            (["--dimension", "price=3"], "dials[0].shift is 3.0, but should be less than or equal"),
            (["--dimension", "prise=1"], "no dimension of bags has an end 'prise'"),
            (["--weight", "hats=1"], "there is no concept 'hats'"),
            (["--concept", "9", "--dimension", "4=1"], "there is no concept 9"),
            (["--controls", "missing.json"], "cannot follow missing.json"),
        ],
    )
    def test_what_cannot_be_is_refused_in_words(self, folder, capsys, flags, words):
        assert words in refused(["steer", folder, "--history", HISTORY, *flags], capsys)

    def test_a_history_is_needed_with_items_that_are_known(self, folder, capsys):
        assert "--history names no item" in refused(["steer", folder], capsys)
        assert "'zz' is not in the model" in refused(["steer", folder, "--history", "zz"], capsys)


class TestWalk:
    def test_tells_the_walk_from_an_item_and_from_a_person(self, folder, capsys):
        for start in (["--item", "0-03"], ["--history", HISTORY]):
            walk = told(["walk", folder, *start, "--dimension", "cheap", "--steps", 5], capsys)
            assert walk["concept"] == 0
            assert walk["dial"] == f"{PRICE} towards cheap"
            values = [item["value"] for item in walk["items"]]
            assert len(values) == 5
            assert values == sorted(values)

    def test_a_table_names_concept_and_dial(self, folder, capsys):
        words = ["walk", folder, "--item", "1-03", "--dimension", "price"]
        assert run(list(map(str, words))) == 0
        shown = capsys.readouterr().out
        assert "bed lamps along price, from" in shown
        assert "Title 1-" in shown

    @pytest.mark.parametrize(
        ("flags", "words"),
        [
            (["--dimension", "4"], "give either --item or --history"),
            (["--item", "0-01", "--history", "0-02", "--dimension", "4"], "give either --item"),
            (["--item", "0-01"], "--dimension names no aspect to go along"),
            (["--item", "0-01", "--dimension", "99"], "there is no dimension 99"),
            (["--item", "0-01", "--dimension", "4", "--steps", "0"], "steps is 0"),
        ],
    )
    def test_what_cannot_be_is_refused_in_words(self, folder, capsys, flags, words):
        assert words in refused(["walk", folder, *flags], capsys)


def test_models_without_concepts_say_so(tmp_path, capsys):
    fitted("ease").save(tmp_path)
    words = ["walk", tmp_path, "--item", "0-01", "--dimension", "4"]
    assert "ease has no concepts; train macridvae" in refused(words, capsys)
    words = ["steer", tmp_path, "--history", "0-01", "--dimension", "4=1"]
    assert "ease has no concepts; train macridvae" in refused(words, capsys)
    words = ["steer", tmp_path, "--history", "0-01", "--diversity", "0.5"]
    assert "ease cannot follow diversity" in refused(words, capsys)
    words = ["steer", tmp_path, "--history", "0-01", "--save", tmp_path / "me.json"]
    assert "ease has no concepts" in refused(words, capsys)
    words = ["recommend", tmp_path, "--profile", tmp_path / "me.json"]
    assert "and so no profiles" in refused(words, capsys)


def test_lists_follow_a_file_of_controls(folder, tmp_path, capsys):
    path = tmp_path / "controls.json"
    path.write_text('{"concepts": {"bed lamps": 0}}')
    words = ["recommend", folder, "--items", HISTORY, "--controls", path, "-k", 100]
    items = [row["item_id"] for row in told(words, capsys)["recommendations"]]
    assert items
    assert not [item for item in items if item.startswith("1-")]
    assert "cannot follow" in refused([*words[:-3], "nothing.json"], capsys)


class TestTryADial:
    def test_is_about_the_feature_that_fits_best(self, folder, capsys):
        model, history = macrid.load(folder), HISTORY.split(",")
        tried = try_a_dial(model, history, ["luck", "price"])
        assert tried["feature"] == "price"
        show_walk(model, tried["walk"])
        show_change(model, tried["before"], tried["after"], "price")
        shown = capsys.readouterr()
        assert "along price" in shown.out
        assert "Title 0-" in shown.out
        assert "came" in shown.err

    def test_is_left_out_where_nothing_fits(self, folder):
        assert try_a_dial(macrid.load(folder), HISTORY.split(","), ["luck"]) is None
