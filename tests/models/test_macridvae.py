"""MacridVAE as a whole: what is drawn once, what never, and the answers that were planted."""

import pytest
import torch

import macrid
import planted
from macrid.data.histories import Histories
from macrid.errors import DataError, SettingsError, TooLarge
from macrid.models.macridvae import MacridVAE, MacridVAESettings, macrid_vae

N_ITEMS, N_DIMS, N_CONCEPTS = 40, 6, 3
LISTS = [[0, 39, 7], [5], [1, 2, 3, 4, 11, 12], [7, 8]]


def network_of(n_items=N_ITEMS, **settings):
    """A small network whose weights are large enough to matter."""
    torch.manual_seed(3)
    sizes = {"n_concepts": N_CONCEPTS, "n_dims": N_DIMS}
    network = macrid_vae(n_items, MacridVAESettings(**(sizes | settings)))
    for weight in network.parameters():
        torch.nn.init.normal_(weight, std=0.5)
    return network


def some_histories():
    return Histories.from_lists(LISTS)


def test_defaults_are_the_authors():
    assert MacridVAE().get_params() == {
        "n_concepts": 7,
        "n_dims": 100,
        "beta": 0.2,
        "tau": 0.1,
        "prior_std": 0.075,
        "dropout": 0.5,
        "l2": 0.0,
        "similarity": "cosine",
        "assignment_sampling": "soft",
        "assignment": "soft",
        "prototypes": "learned",
        "softmax": "full",
        "proposal": "popularity",
    }


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"n_concept": 3}, "no setting 'n_concept'; did you mean 'n_concepts'"),
        ({"n_concepts": 0}, "n_concepts is 0, but should be greater than or equal to 1"),
        ({"tau": 0}, "tau is 0, but should be greater than 0"),
        ({"dropout": 1.0}, "dropout is 1.0, but should be less than 1"),
        ({"prior_std": float("nan")}, "prior_std is nan"),
        ({"similarity": "dot"}, "similarity is 'dot', but should be 'cosine' or 'inner'"),
        ({"prototypes": "frozen"}, "prototypes is 'frozen', but .* 'learned' or 'clustered'"),
    ],
)
def test_a_wrong_setting_is_refused_in_words(settings, words):
    with pytest.raises(SettingsError, match=words):
        MacridVAE(**settings)


def test_one_assignment_is_drawn_per_step_for_everybody_for_encoder_and_decoder():
    network = network_of().train()
    drawn, used = [], []
    network.concepts.register_forward_hook(lambda _, __, out: drawn.append(out))
    network.latent.register_forward_hook(lambda _, arguments, __: used.append(arguments[1]))
    likelihood = network.decoder.log_likelihood
    network.decoder.log_likelihood = lambda z, c, *rest: used.append(c) or likelihood(z, c, *rest)
    network(some_histories())
    assert len(drawn) == 1
    assert all(log_weights is drawn[0] for log_weights in used)
    assert len(used) == 2


def test_people_with_the_same_history_differ_only_by_dropout_and_their_own_noise():
    network = network_of(dropout=0.0, prior_std=1e-12).train()
    bound = network(Histories.from_lists([[1, 2, 30]] * 3))
    torch.testing.assert_close(bound.log_likelihood, bound.log_likelihood[:1].expand(3))
    again = network(Histories.from_lists([[1, 2, 30]] * 3))
    assert not torch.allclose(bound.log_likelihood, again.log_likelihood, rtol=1e-4)


@pytest.mark.parametrize("source", ["dropout", "prior_std", "assignment_sampling"])
def test_training_is_noisy_for_each_of_three_reasons_and_testing_for_none(source):
    silent = {"dropout": 0.0, "prior_std": 1e-12, "assignment_sampling": "none"}
    one_source = {name: value for name, value in silent.items() if name != source}
    for settings, noisy in ((silent, False), (one_source, True)):
        network = network_of(**settings).train()
        first, second = (network(some_histories()).log_likelihood for _ in range(2))
        assert torch.equal(first, second) is not noisy
    network = network_of().eval()
    assert torch.equal(network.scores(some_histories()), network.scores(some_histories()))
    first, second = (network(some_histories()).log_likelihood for _ in range(2))
    assert torch.equal(first, second)


def test_gradients_reach_every_weight_and_every_prototype():
    network = network_of().train()
    bound = network(some_histories())
    (bound.kl - bound.log_likelihood).mean().backward()
    for name, weight in network.named_parameters():
        assert weight.grad.abs().sum() > 0, name
    assert (network.concepts.weight.grad.abs().sum(-1) > 0).all()


def test_one_concept_reduces_to_the_softmax_of_cosines_over_tau():
    network = network_of(n_concepts=1, tau=0.3).eval()
    unit = torch.nn.functional.normalize
    encoder, items = network.latent.encoder, network.decoder.items.weight
    for row, history in enumerate(LISTS):
        bag = encoder.context[history].sum(0) / len(history) ** 0.5
        z = unit(encoder.head((bag + encoder.bias).tanh())[:N_DIMS], dim=-1)
        expected = (unit(items, dim=-1) @ z / 0.3).softmax(-1)
        torch.testing.assert_close(
            network.scores(some_histories())[row].softmax(-1), expected, rtol=1e-4, atol=1e-6
        )


@pytest.mark.parametrize("assignment", ["soft", "mode"])
@pytest.mark.parametrize("similarity", ["cosine", "inner"])
def test_the_likelihood_after_training_is_that_of_the_scores(assignment, similarity):
    network = network_of(assignment=assignment, similarity=similarity).double().eval()
    log_probs = network.scores(some_histories()).log_softmax(-1)
    expected = torch.stack([row[items].sum() for row, items in zip(log_probs, LISTS, strict=True)])
    with torch.no_grad():
        torch.testing.assert_close(network(some_histories()).log_likelihood, expected)


def test_the_order_of_concepts_does_not_matter():
    network = network_of().eval()
    before = network.scores(some_histories())
    with torch.no_grad():
        network.concepts.weight.copy_(network.concepts.weight[[2, 0, 1]].clone())
    torch.testing.assert_close(network.scores(some_histories()), before)


def test_a_batch_is_its_people_one_by_one_empty_ones_included():
    network = network_of().eval()
    lists = [*LISTS, []]
    together = network.scores(Histories.from_lists(lists))
    for row, items in enumerate(lists):
        alone = network.scores(Histories.from_lists([items]))
        torch.testing.assert_close(together[row], alone[0])


def test_scores_are_finite_for_tiny_temperatures():
    for tau in (1e-2, 1e-3, 1e-6):
        for assignment in ("soft", "mode"):
            network = network_of(tau=tau, assignment=assignment).eval()
            assert network.scores(some_histories()).isfinite().all()


def test_training_with_a_tiny_temperature_has_finite_gradients():
    network = network_of(tau=1e-3).train()
    network(some_histories()).log_likelihood.mean().neg().backward()
    assert all(weight.grad.isfinite().all() for weight in network.parameters())


def test_nothing_of_batch_times_concepts_times_items_is_kept_in_a_step():
    n_items, batch = 3000, 60
    network = network_of(n_items).train()
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda t: kept.append(t.numel()) or t, lambda t: t
    ):
        network(Histories.from_lists([[user, user + 1] for user in range(batch)]))
    assert max(kept) <= n_items * 16  # dims, concepts and shift, rounded up
    assert max(kept) < batch * N_CONCEPTS * n_items / 10


def test_bf16_is_close_to_single_precision_in_loss_and_gradients():
    exact, rough = network_of(), network_of()
    values = []
    for network, half in ((exact, False), (rough, True)):
        torch.manual_seed(0)
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            bound = network.train()(some_histories())
        assert bound.log_likelihood.dtype == bound.kl.dtype == torch.float32
        values.append((bound.kl - bound.log_likelihood).mean())
        values[-1].backward()
    torch.testing.assert_close(values[1], values[0], rtol=0.02, atol=0)
    for mine, theirs in zip(rough.parameters(), exact.parameters(), strict=True):
        cosine = torch.nn.functional.cosine_similarity(
            mine.grad.flatten(), theirs.grad.flatten(), dim=0
        )
        assert cosine > 0.99


def test_similarity_is_symmetric_and_an_item_is_most_like_itself():
    model = planted.fitted("macridvae")
    rows = torch.arange(len(model.items))
    cosines = model.item_similarity(rows)
    torch.testing.assert_close(cosines.diagonal(), torch.ones(len(rows)))
    torch.testing.assert_close(cosines, cosines.T)


def test_the_shared_item_table_is_saved_once_and_restored_for_both():
    model = planted.fitted("macridvae")
    tensors = model.tensors()
    assert len(tensors) == 6
    twin = MacridVAE(**model.get_params())
    twin.catalogue = model.catalogue
    twin.restore(tensors)
    assert twin.network.concepts.items.weight is twin.network.decoder.items.weight
    assert torch.equal(twin.scores(some_histories()), model.scores(some_histories()))


def test_weights_of_another_shape_are_refused():
    model = planted.fitted("macridvae")
    twin = MacridVAE(**{**model.get_params(), "n_concepts": 5})
    twin.catalogue = model.catalogue
    with pytest.raises(ValueError, match=r"the weights have shapes .* but the settings ask for"):
        twin.restore(model.tensors())


def test_validation_users_of_another_catalogue_are_refused():
    split, other = planted.split(), planted.groups(3)
    stranger = type(split.validation)(other, other)
    with pytest.raises(DataError, match="validation users' catalogue is not that of the training"):
        MacridVAE().fit(split.train, stranger)


def test_an_unknown_training_option_is_refused_in_words():
    with pytest.raises(SettingsError, match="no setting 'epoch'; did you mean 'epochs'"):
        MacridVAE().fit(planted.split().train, epoch=3)


def test_refit_trains_on_everyone_for_the_best_number_of_epochs():
    split = planted.split()
    options = {"batch_size": 40, "learning_rate": 0.05, "seed": 4}
    chosen = MacridVAE(n_dims=4, n_concepts=2).fit(
        split.train, split.validation, epochs=6, **options
    )
    final = MacridVAE(n_dims=4, n_concepts=2).fit(
        split.train, split.validation, epochs=6, refit=True, **options
    )
    people = split.train.n_users + split.validation.fold_in.n_users
    events = sum(map(len, (split.train, split.validation.fold_in, split.validation.held_out)))
    assert (final.training["users"], final.training["events"]) == (people, events)
    assert final.training["epochs_run"] == chosen.training["best_epoch"]
    assert final.items == split.train.items
    assert not torch.equal(final.scores(some_histories()), chosen.scores(some_histories()))


@pytest.mark.slow
@pytest.mark.data
def test_on_real_ratings_it_is_far_above_popularity(data_dir):
    data = macrid.read(data_dir / "ml-100k", min_weight=4, min_user_events=5)
    split = macrid.hold_out_users(data, 50)
    model = macrid.MacridVAE(n_dims=32)
    model.fit(split.train, split.validation, epochs=5, batch_size=100, learning_rate=5e-3)
    ours, most = (
        macrid.evaluate(one, split.test).users["ndcg@100"]
        for one in (model, macrid.Popularity().fit(split.train))
    )
    better = ours - most
    assert better.mean() > 3 * better.std() / len(better) ** 0.5


def test_a_step_of_the_sampled_softmax_touches_the_rows_it_saw_alone():
    network = network_of(2000, softmax="sampled:50").train()
    bound = network(some_histories())
    (bound.kl - bound.log_likelihood).mean().backward()
    for table in (network.latent.encoder.context, network.decoder.items.weight):
        assert table.grad.is_sparse
        touched = table.grad.coalesce().indices()[0]
        assert set(some_histories().items.tolist()) <= set(touched.tolist())
        assert len(touched) <= len(set(some_histories().items.tolist())) + 50


def test_the_sampled_softmax_comes_to_the_full_one_as_more_is_drawn():
    """With noise off, the bound and its gradients; drawn 400 times, each item stands for one."""
    silent = {"dropout": 0.0, "prior_std": 1e-12, "assignment_sampling": "none"}
    full, rough = network_of(**silent), network_of(**silent, softmax="sampled:2000000")
    rough.load_state_dict(full.state_dict())
    for network in (full, rough):
        bound = network.train()(some_histories())
        (bound.kl - bound.log_likelihood).mean().backward()
    exact, estimate = full(some_histories()), rough(some_histories())
    torch.testing.assert_close(estimate.kl, exact.kl)
    torch.testing.assert_close(estimate.log_likelihood, exact.log_likelihood, rtol=0.01, atol=0)
    for mine, theirs in zip(rough.parameters(), full.parameters(), strict=True):
        error = (mine.grad.to_dense() - theirs.grad).norm() / theirs.grad.norm()
        assert error < 0.05


def test_after_training_the_whole_catalogue_is_scored_whatever_it_was_trained_against():
    full, rough = network_of(), network_of(softmax="sampled:3")
    rough.load_state_dict(full.state_dict())
    torch.testing.assert_close(
        rough.eval().scores(some_histories()), full.eval().scores(some_histories())
    )


@pytest.mark.parametrize("softmax", ["sampled", "sampled:0", "sampled:-1", "half", "sampled:1e3"])
def test_what_is_no_softmax_is_refused(softmax):
    with pytest.raises(SettingsError, match=r"softmax is .*sampled:N"):
        MacridVAE(softmax=softmax)


@pytest.mark.parametrize("proposal", ["popularity", "log-uniform"])
def test_sampled_softmax_learns_the_planted_taste(proposal):
    split = planted.split()
    model = MacridVAE(n_dims=8, n_concepts=2, softmax="sampled:20", proposal=proposal)
    model.fit(split.train, epochs=30, batch_size=50, learning_rate=0.01)
    full = planted.fitted("macridvae")
    measured, best = (macrid.evaluate(m, split.test)["ndcg@100"].mean for m in (model, full))
    assert measured > 0.9 * best


def test_squared_weights_and_a_sample_do_not_go_together():
    with pytest.raises(SettingsError, match=r"l2 .* every row"):
        MacridVAE(l2=0.1, softmax="sampled:10")


@pytest.mark.parametrize("softmax", ["full", "sampled:10"])
def test_a_model_larger_than_memory_is_refused_before_it_is_made(softmax):
    model = MacridVAE(n_dims=10**9, softmax=softmax)
    with pytest.raises(TooLarge, match=r"50 items .* fewer n_dims, or sample"):
        model.fit(planted.split().train)


@pytest.mark.parametrize("softmax", ["full", "sampled:20"])
def test_straight_through_gives_every_weight_a_finite_gradient(softmax):
    network = network_of(assignment_sampling="straight-through", softmax=softmax).train()
    log_weights = []
    network.concepts.register_forward_hook(lambda _, __, out: log_weights.append(out))
    bound = network(some_histories())
    (bound.kl - bound.log_likelihood).mean().backward()
    assert (log_weights[0].isfinite().sum(1) == 1).all()
    for name, weight in network.named_parameters():
        grad = weight.grad.to_dense()
        assert grad.isfinite().all(), name
        assert grad.abs().sum() > 0, name


@pytest.mark.parametrize("assignment", ["soft", "mode"])
def test_straight_through_learns_the_planted_taste(assignment):
    model = MacridVAE(
        n_concepts=2, n_dims=8, assignment_sampling="straight-through", assignment=assignment
    )
    model.fit(planted.split().train, **planted.SMALL["macridvae"][1])
    lists = model.recommend(planted.newcomers(), k=10)
    assert planted.share_in_the_right_group(lists) >= 0.9
