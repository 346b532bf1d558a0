"""What is searched: declared spaces, ranges that were asked for, and the file that comes of it."""

import tomllib

import pytest

from macrid.cli.options import read_config
from macrid.errors import SettingsError
from macrid.evaluation.search import Search
from macrid.models.catalog import MODELS
from macrid.training.settings import OneOf, Real, TrainingSettings, Whole
from planted import SMALL

SEARCHED = [name for name in MODELS if name != "popularity"]


def extremes(known):
    """The ends of a range, or its choices."""
    return known.choices if isinstance(known, OneOf) else (known.low, known.high)


@pytest.mark.parametrize("model", SEARCHED)
class TestDeclaredSpaces:
    def test_every_value_is_within_the_settings_own_bounds(self, model):
        search = Search.of(model)
        assert search.space
        for name, known in search.space.items():
            for value in extremes(known):
                built, training = search.build({name: value})
                found = built.get_params() | training
                assert found[name] == value

    def test_all_lowest_and_all_highest_values_go_together(self, model):
        search = Search.of(model)
        for end in (0, -1):
            model_, _ = search.build({n: extremes(r)[end] for n, r in search.space.items()})
            assert model_.name == model

    def test_it_starts_from_the_defaults(self, model):
        search = Search.of(model)
        everything, start = search.everything(), search.start()
        assert start == {name: everything[name] for name in search.space}
        assert search.starts_with_defaults()


@pytest.mark.parametrize(
    ("ranges", "so"),
    [
        ({"beta": "1..4"}, False),
        ({"beta": "0.1..4"}, True),
        ({"hidden": "[8],[16]"}, False),
        ({"hidden": "[8],[600]"}, True),
        ({"learning_rate": "0.01..0.02"}, False),
        ({"l2": "1e-5..1"}, False),
    ],
)
def test_a_range_that_excludes_a_default_begins_elsewhere(ranges, so):
    assert Search.of("multvae", {}, ranges).starts_with_defaults() is so


def test_the_macridvae_space_is_the_authors_and_leaves_the_dimensions():
    space = Search.of("macridvae").space
    assert space["beta"] == Real(0.05, 5.0, step=0.05)
    assert space["n_concepts"] == Whole(1, 16)
    assert space["batch_size"] == OneOf(128, 256, 500, 1024)
    assert space["learning_rate"].low == 5e-5
    assert {"n_dims", "similarity", "epochs", "seed"}.isdisjoint(space)


def test_settings_of_models_and_of_training_never_share_a_name():
    for model in MODELS.values():
        assert not set(model.Settings.model_fields) & set(TrainingSettings.model_fields)


def test_a_default_that_is_no_choice_becomes_one():
    assert Search.of("vamp").space["batch_size"] == OneOf(128, 256, 500, 1024, 200)
    assert Search.of("vamp").start()["batch_size"] == 200


def test_no_limit_is_a_choice_only_where_leaving_it_out_says_so():
    assert Search.of("macridvae", ranges={"patience": "null,60"}).start()["patience"] is None
    with pytest.raises(SettingsError, match=r"patience cannot be searched in null.* it means 51"):
        Search.of("vamp", ranges={"patience": "null,60"})


def test_what_is_fixed_is_not_searched():
    search = Search.of("macridvae", {"beta": "2.0", "epochs": "3", "n_dims": 8})
    assert search.fixed == {"beta": 2.0, "epochs": 3, "n_dims": 8}
    assert "beta" not in search.space
    model, training = search.build({"tau": 0.2})
    assert (model.settings.beta, model.settings.tau, training["epochs"]) == (2.0, 0.2, 3)


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("beta=1..3", Real(1.0, 3.0)),
        ("learning_rate=1e-4..1e-2", Real(1e-4, 1e-2, log=True)),
        ("n_dims=10..1000", Whole(10, 1000, log=True)),
        ("n_dims=10..100", Whole(10, 100)),
        ("average=0..0.9", Real(0.0, 0.9)),
        ("batch_size=64,128", OneOf(64, 128)),
        ("beta=.5,1,.5", OneOf(0.5, 1.0)),
        ("similarity=cosine, inner", OneOf("cosine", "inner")),
        ("beta=2", OneOf(2.0)),
        ("patience=5..10", Whole(5, 10)),
    ],
)
def test_ranges_are_read_from_words(text, known):
    name, _, words = text.partition("=")
    assert Search.of("macridvae", ranges={name: words}).space[name] == known


def test_no_limit_is_nearest_to_the_highest():
    assert Search.of("macridvae", ranges={"patience": "5..10"}).start()["patience"] == 10


def test_lists_and_truths_are_read_from_words():
    space = Search.of("multvae", ranges={"hidden": "[100],[600, 200]"}).space
    assert space["hidden"] == OneOf((100,), (600, 200))
    assert Search.of("vamp", ranges={"gated": "true"}).space["gated"] == OneOf(True)


@pytest.mark.parametrize(
    ("fixed", "ranges", "words"),
    [
        ({}, {"bata": "1..2"}, "no setting 'bata'; did you mean 'beta'"),
        ({}, {"bata": "1,2"}, "no setting 'bata'; did you mean 'beta'"),
        ({"bata": 1}, {}, "no setting 'bata'; did you mean 'beta'"),
        ({}, {"beta": "3..1"}, "beta is to be searched from 3.0 to 1.0; swap them"),
        ({}, {"beta": "1..x"}, "beta='1..x' is not of the form LOW..HIGH"),
        ({}, {"beta": "..2"}, "is not of the form LOW..HIGH"),
        ({}, {"beta": "-1..2"}, "beta is -1.0, but should be greater than or equal to 0"),
        ({}, {"dropout": "0..1"}, "dropout is 1.0, but should be less than 1"),
        ({}, {"beta": "1,-2"}, "beta is -2"),
        ({}, {"beta": " "}, "no value of beta was given"),
        ({}, {"similarity": "a..b"}, "similarity has no order to go from a to b by"),
        ({}, {"beta": Real(0.0, 1.0, log=True)}, "beta is searched by its logarithm, which 0.0"),
        ({}, {"beta": "true,false"}, "beta is a number, and true and false are none"),
        ({}, {"device": "cpu,cuda"}, "device makes no better model; fix it"),
        ({}, {"seed": "1..4"}, "seed makes no better model; fix it"),
        ({"beta": 1}, {"beta": "1..2"}, "beta: both fixed and searched"),
        ({"softmax": "sampled:10"}, {}, "l2 is .*, whose penalty looks at every row; set l2 to 0"),
    ],
)
def test_a_wrong_search_is_a_sentence(fixed, ranges, words):
    with pytest.raises(SettingsError, match=words):
        Search.of("macridvae", fixed, ranges)


def test_a_model_without_settings_has_nothing_to_search():
    with pytest.raises(SettingsError, match="nothing to search of popularity"):
        Search.of("popularity")
    with pytest.raises(SettingsError, match="there is no setting 'epochs'; known: regularization"):
        Search.of("ease", {"epochs": 3})


@pytest.mark.parametrize("model", ["macridvae", "multvae", "ease"])
def test_the_file_says_what_was_tried(model, tmp_path):
    settings, training = SMALL[model]
    fixed = {**settings, **training, "threads": 1} if training else {}
    search = Search.of(model, fixed)
    reading = {"items": 'C:\\a "b".csv', "columns": {"user id": "ü"}, "hold_out": 6}
    path = tmp_path / "best.toml"
    path.write_text(search.toml(search.start(), reading), encoding="utf-8")
    config = read_config(path)
    assert config["model"] == model
    assert config["data"] == reading
    settings, training = search.parts(search.start())
    assert config["settings"] == {n: list(v) if n == "hidden" else v for n, v in settings.items()}
    assert config.get("training", {}) == {n: v for n, v in training.items() if n != "threads"}


def test_floats_are_as_short_as_they_can_be():
    text = Search.of("ease").toml({"regularization": 1e-5}, {})
    assert tomllib.loads(text)["settings"] == {"regularization": 1e-5}
    assert "regularization = 1e-05\n" in text
