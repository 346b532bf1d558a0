"""What every model of the catalogue must do, whatever computes its scores."""

import numpy as np
import polars as pl
import pytest
import torch

import macrid
from macrid.data.histories import Histories
from macrid.data.vocabulary import Vocabulary
from macrid.errors import SettingsError, UnknownItem
from macrid.models.catalog import MODELS
from planted import SMALL, by_worker, fitted, groups, newcomers, share_in_the_right_group, split

FINDS_GROUPS = by_worker(name for name in MODELS if name != "popularity")


@pytest.fixture(params=by_worker(MODELS))
def model(request):
    """Each model in turn, fitted on the world of two groups; to be left as it is."""
    return fitted(request.param)


def batch(model) -> Histories:
    """Newcomers as rows, one of them without a history."""
    rows = [model.items.numbers(items).tolist() for items in newcomers(15).values()]
    return Histories.from_lists([*rows[:7], [], *rows[7:]])


def test_every_model_is_tried():
    assert set(SMALL) == set(MODELS)


@pytest.mark.parametrize("name", FINDS_GROUPS)
def test_newcomers_get_items_of_their_own_group(name):
    lists = fitted(name).recommend(newcomers(), k=10)
    assert len(lists) == 400
    assert share_in_the_right_group(lists) >= 0.95


@pytest.mark.parametrize("name", FINDS_GROUPS)
def test_similar_items_are_of_the_same_group(name):
    lists = fitted(name).similar_items(fitted(name).items.ids, k=10)
    same = lists["query_id"].str.head(1) == lists["item_id"].str.head(1)
    assert same.mean() >= 0.9


def test_there_is_a_finite_score_for_every_person_and_item(model):
    scores = model.scores(batch(model))
    assert scores.shape == (16, 50)
    assert scores.dtype == torch.float32
    assert scores.isfinite().all()


def test_a_batch_scores_as_each_person_alone(model):
    people = batch(model)
    alone = []
    for start, end in zip(people.offsets, people.offsets[1:], strict=False):
        alone.append(model.scores(Histories.from_lists([people.items[start:end].tolist()])))
    assert torch.allclose(model.scores(people), torch.cat(alone), atol=1e-5)


def test_lists_do_not_depend_on_who_else_asks(model):
    people = newcomers()
    together = model.recommend(people)
    for user in ("new0-0", "new1-39"):
        mine = together.filter(together["user_id"] == user)
        alone = model.recommend({user: people[user]})
        assert alone["item_id"].equals(mine["item_id"])
        assert np.allclose(alone["score"], mine["score"], atol=1e-5)


def test_nobody_has_no_scores(model):
    assert model.scores(Histories.from_lists([])).shape == (0, 50)
    assert model.recommend({}).columns == ["user_id", "item_id", "score", "rank"]


def test_asking_twice_gives_the_same_and_changes_nothing(model):
    before = {name: tensor.clone() for name, tensor in model.tensors().items()}
    assert model.scores(batch(model)).equal(model.scores(batch(model)))
    assert model.recommend(newcomers()).equals(model.recommend(newcomers()))
    assert all(tensor.equal(before[name]) for name, tensor in model.tensors().items())


def test_fitting_twice_gives_the_same_model(model):
    settings, training = SMALL[model.name]
    few = training | {"epochs": 2} if training else {}
    one, other = (type(model)(**settings).fit(split().train, **few) for _ in range(2))
    for name, tensor in one.tensors().items():
        assert tensor.equal(other.tensors()[name])


def test_saving_and_loading_gives_an_equal_model(model, tmp_path):
    model.save(tmp_path)
    again = macrid.load(tmp_path)
    assert type(again) is type(model)
    assert again.get_params() == model.get_params()
    assert again.training == model.training
    assert again.items == model.items
    assert again.tensors().keys() == model.tensors().keys()
    assert again.scores(batch(model)).equal(model.scores(batch(model)))
    assert again.recommend(newcomers()).equals(model.recommend(newcomers()))


def test_a_loaded_model_can_be_saved_again_to_the_same_bytes(model, tmp_path):
    model.save(tmp_path / "one")
    macrid.load(tmp_path / "one").save(tmp_path / "two")
    for file in (tmp_path / "one").iterdir():
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes()


def test_unknown_ids_are_refused(model):
    for asked in ({"items": ["0-00", "zz"]}, {"exclude": ["zz"]}):
        with pytest.raises(UnknownItem, match="'zz' is not in the model's 50 items"):
            model.recommend({"me": ["0-00"]}, **asked)
    with pytest.raises(UnknownItem, match="'zz' is not in the model's 50 items"):
        model.recommend({"me": ["zz"]}, on_unknown="raise")
    with pytest.raises(UnknownItem, match="'zz' is not in the model's 50 items"):
        model.similar_items(["zz"])


def test_what_was_excluded_or_seen_is_never_recommended(model):
    people = newcomers()
    exclude = [f"{group}-{n:02d}" for group in (0, 1) for n in range(0, 25, 3)]
    lists = model.recommend(people, k=50, exclude=exclude)
    assert not lists["item_id"].is_in(exclude).any()
    for (user,), mine in lists.group_by("user_id"):
        assert set(mine["item_id"]) == set(model.items.ids) - set(exclude) - set(people[user])


def test_only_what_may_be_listed_is(model):
    few = ["0-01", "1-02", "1-03"]
    lists = model.recommend(newcomers(), k=50, items=few, include_seen=True)
    assert len(lists) == 3 * 40
    assert set(lists["item_id"]) == set(few)


def test_lists_are_ranked_by_finite_scores_without_repeats(model):
    for (_,), mine in model.recommend(newcomers(), k=12).group_by("user_id"):
        assert mine["rank"].to_list() == list(range(1, 13))
        assert mine["item_id"].is_unique().all()
        assert mine["score"].is_finite().all()
        assert mine["score"].is_sorted(descending=True)


def test_an_explanation_is_of_the_scores_and_of_a_history_without_each_item(model):
    """By scoring the history that is left, one item at a time."""
    history = newcomers()["new0-0"]
    had, wanted = (
        model.items.numbers(history).tolist(),
        model.recommend({"": history})["item_id"][:3],
    )
    rows, why = model.items.numbers(wanted), model.explain(history, wanted)
    whole = model.scores(Histories.from_lists([had]))[0, rows]
    left = [[other for other in had if other != past] for past in had]
    change = whole - model.scores(Histories.from_lists(left))[:, rows]
    assert why.items["item_id"].equals(wanted)
    assert np.allclose(why.items["score"], whole, atol=1e-5)
    told = why.history.pivot("item_id", index="past_item_id", values="change")
    order = told["past_item_id"].to_list()
    assert set(order) == set(history)
    expected = change[[history.index(item) for item in order]]
    assert np.allclose(told.select(wanted.to_list()).to_numpy(), expected, atol=1e-5)
    assert all(why.items["sentence"].str.ends_with("."))
    if why.concepts is not None:
        totals = why.concepts.group_by("item_id", maintain_order=True).agg(pl.col("part").sum())
        assert np.allclose(totals["part"], whole, atol=1e-4)


def test_an_empty_history_gets_what_is_popular_and_it_is_said(model):
    with pytest.warns(UserWarning, match="1 of 1 people have no item .* most popular items"):
        mine = model.recommend({"me": []}, k=50)
    counts = split().train.item_counts()
    order = sorted(range(50), key=lambda row: (-counts[row], row))
    assert mine["item_id"].equals(model.items.ids.gather(order))
    assert mine["score"].to_list() == counts[order].tolist()


def test_numbering_the_items_otherwise_changes_no_score(model):
    order = np.random.default_rng(0).permutation(50)
    other = type(model)(**model.get_params())
    other.catalogue = model.catalogue[order]
    # What has a row (or a column) per item is reordered, the rest stays.
    tensors = {}
    for name, tensor in model.tensors().items():
        for axis in [axis for axis, size in enumerate(tensor.shape) if size == 50]:
            tensor = tensor.index_select(axis, torch.from_numpy(order))
        tensors[name] = tensor
    other.restore(tensors)
    rows = [model.items.numbers(items).tolist() for items in newcomers().values()]
    there = Histories.from_lists([np.argsort(order)[row].tolist() for row in rows])
    expected = model.scores(Histories.from_lists(rows))[:, order]
    assert torch.allclose(other.scores(there), expected, atol=1e-5)


@pytest.mark.parametrize("name", ["ease", "popularity"])
def test_learning_from_items_in_another_order_changes_no_score(name):
    settings, _ = SMALL[name]
    data = groups(seed=3)
    backwards = data.with_catalogue(Vocabulary(data.items.ids.reverse()))
    here, there = (MODELS[name](**settings).fit(world) for world in (data, backwards))
    scores = here.scores(data.histories()), there.scores(backwards.histories()).flip(1)
    assert torch.allclose(*scores, atol=1e-6)


def test_settings_can_be_read_and_copied(model):
    twin = type(model)(**model.get_params())
    assert twin.get_params() == model.get_params() == model.get_params(deep=False)
    assert twin.settings == model.settings
    assert twin.catalogue is None


def test_settings_can_be_changed_and_are_checked(model):
    fresh = type(model)()
    assert fresh.set_params(**model.get_params()) is fresh
    assert fresh.get_params() == model.get_params()
    with pytest.raises(SettingsError, match="no setting 'zzz'"):
        fresh.set_params(zzz=1)
    assert fresh.get_params() == model.get_params()


def test_a_model_shows_what_differs_from_the_defaults(model):
    shown = {
        "macridvae": "MacridVAE(n_concepts=2, n_dims=8)",
        "multvae": "MultVAE(n_dims=8, hidden=(32,))",
        "multdae": "MultDAE(n_dims=16)",
        "vamp": "Vamp(n_dims=8, hidden=32, n_pseudo=20)",
        "hvamp": "HVamp(n_dims=8, hidden=32, n_pseudo=20)",
        "recvae": "RecVAE(n_dims=8, hidden=32, n_layers=3)",
        "ease": "EASE(regularization=10.0)",
        "popularity": "Popularity()",
    }
    assert repr(model) == shown[model.name]
    assert repr(type(model)()) == f"{type(model).__name__}()"


def test_the_number_of_parameters_is_that_of_what_was_learned(model):
    numbers = sum(tensor.numel() for tensor in model.tensors().values())
    assert model.n_parameters(50) == numbers


@pytest.mark.parametrize(
    ("name", "wrong", "words"),
    [
        ("macridvae", {"n_concept": 3}, "no setting 'n_concept'; did you mean 'n_concepts'"),
        ("macridvae", {"n_concepts": 0}, "n_concepts is 0, but should be greater than or equal"),
        ("macridvae", {"dropout": 1.0}, "dropout is 1.0, but should be less than 1"),
        ("macridvae", {"similarity": "dot"}, "similarity is 'dot', but should be 'cosine' or 'inn"),
        ("ease", {"lambda": 3}, "no setting 'lambda'; known: regularization"),
        ("ease", {"regularization": 0}, "regularization is 0, but should be greater than 0"),
    ],
    ids=str,
)
def test_a_wrong_setting_names_the_nearest_or_its_bounds(name, wrong, words):
    with pytest.raises(SettingsError, match=words):
        MODELS[name](**wrong)
