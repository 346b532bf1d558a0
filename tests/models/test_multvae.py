"""Mult-VAE and Mult-DAE against the straight-line reference: same noise, loss and gradients."""

import pytest
import torch

import planted
from macrid.data.histories import Histories
from macrid.errors import SettingsError
from macrid.models.multvae import MultDAE, MultVAE
from macrid.training.objective import squared_weights
from reference import multvae as reference

N_ITEMS, BETA, L2 = 37, 0.7, 0.03
MODELS = {
    "multvae": (MultVAE, {"hidden": [8], "n_dims": 5}),
    "deep multvae": (MultVAE, {"hidden": [9, 7], "n_dims": 4}),
    "multdae": (MultDAE, {"n_dims": 6}),
    "deep multdae": (MultDAE, {"hidden": [9], "n_dims": 4}),
}
LIKELIHOODS = ["multinomial", "logistic", "gaussian"]
CONFIDENCE = (5.0, 0.5)


def network_of(name, likelihood="multinomial"):
    """A small network with weights that are not tiny, so that a mistake shows."""
    model, settings = MODELS[name]
    torch.manual_seed(3)
    seen, unseen = CONFIDENCE
    given = {"confidence_seen": seen, "confidence_unseen": unseen, "likelihood": likelihood}
    network = model(**settings, **given).build(N_ITEMS)
    for weight in network.parameters():
        torch.nn.init.normal_(weight, std=0.5)
    return network


def some_histories():
    generator = torch.Generator().manual_seed(7)
    lists = [torch.randperm(N_ITEMS, generator=generator)[:n].tolist() for n in (9, 1, 5, 20)]
    return Histories.from_lists(lists)


def layers_of(network):
    """Weights and biases as the reference has them, and ours in the same order."""
    encoder, decoder = network.latent.encoder, network.decoder
    pairs = [(encoder.context, encoder.bias, False)]
    pairs += [(layer.weight, layer.bias, True) for layer in encoder.layers]
    if head := getattr(network.latent, "head", None):
        pairs.append((head.linear.weight, head.linear.bias, True))
    n_encoder = len(pairs)
    pairs += [(layer.weight, layer.bias, True) for layer in decoder.body]
    pairs.append((decoder.items.weight, decoder.bias, True))
    theirs = [
        (
            (w.T if turned else w).detach().double().clone().requires_grad_(),
            b.detach().double().clone().requires_grad_(),
        )
        for w, b, turned in pairs
    ]
    return pairs, theirs[:n_encoder], theirs[n_encoder:]


def dense(histories):
    x = torch.zeros(len(histories), N_ITEMS, dtype=torch.float64)
    x[histories.users, histories.items] = 1
    return x


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-4)], ids=["64", "32"]
)
def test_loss_and_gradients_are_those_of_the_reference(name, likelihood, dtype, tolerance):
    network, histories = network_of(name, likelihood).to(dtype).train(), some_histories()
    torch.manual_seed(11)
    bound = network(histories)
    loss = (BETA * bound.kl - bound.log_likelihood).mean() + L2 * squared_weights(network)
    loss.backward()

    torch.manual_seed(11)
    keep = torch.zeros(len(histories), N_ITEMS, dtype=torch.float64)
    kept = torch.rand(1, len(histories.items), dtype=dtype) >= 0.5
    keep[histories.users, histories.items] = kept[0].double()
    variational = hasattr(network.latent, "head")
    n_dims = MODELS[name][1]["n_dims"]
    epsilon = torch.randn(len(histories), 1, n_dims, dtype=dtype)[:, 0].double()
    pairs, encoder, decoder = layers_of(network)
    expected = reference.loss(
        encoder,
        decoder,
        dense(histories),
        variational=variational,
        dropout=0.5,
        beta=BETA,
        l2=L2,
        likelihood=likelihood,
        confidence=CONFIDENCE,
        keep=keep,
        epsilon=epsilon,
    )
    expected.loss.backward()
    torch.testing.assert_close(loss.double(), expected.loss, rtol=tolerance, atol=0)
    torch.testing.assert_close(bound.kl.mean().double(), expected.kl, rtol=tolerance, atol=0)
    for (w, b, turned), (weight, bias) in zip(pairs, [*encoder, *decoder], strict=True):
        ours = w.grad.T if turned else w.grad
        for mine, theirs in ((ours, weight.grad), (b.grad, bias.grad)):
            assert (mine.double() - theirs).abs().max() <= tolerance * theirs.abs().max()


@pytest.mark.parametrize("name", MODELS)
def test_scores_are_the_references_outputs_without_noise(name):
    network, histories = network_of(name).double().eval(), some_histories()
    _, encoder, decoder = layers_of(network)
    variational = hasattr(network.latent, "head")
    expected = reference.loss(
        encoder, decoder, dense(histories), variational=variational, dropout=0.5, beta=0, l2=0
    )
    torch.testing.assert_close(network.scores(histories), expected.outputs)


@pytest.mark.parametrize("name", MODELS)
def test_lists_are_the_best_scores(name):
    network, histories = network_of(name).eval(), some_histories()
    top = network.ranker().top(histories, 5)
    scores = network.scores(histories)
    scores[histories.users, histories.items] = -torch.inf
    assert torch.equal(top.row, scores.topk(5).indices)
    torch.testing.assert_close(top.score, scores.topk(5).values)


def test_parameters_are_the_papers():
    """Of M items: M·600 + 600·400 in, 200·600 + 600·M out, and biases; 2Md in the smaller form."""
    n_items = 1000
    wide = (n_items * 600 + 600) + (600 * 400 + 400) + (200 * 600 + 600) + (600 * n_items + n_items)
    assert MultVAE().n_parameters(n_items) == wide
    assert MultDAE().n_parameters(n_items) == (n_items * 200 + 200) + (200 * n_items + n_items)
    small = MultVAE(hidden=[100], n_dims=100).n_parameters(100_000)
    assert small / (2 * 100_000 * 100) == pytest.approx(1, abs=0.01)


def test_beta_rises_by_steps_of_the_authors_two_hundred_thousand():
    objective = MultVAE().objective()
    assert objective.beta(20_000, 234) == pytest.approx(0.1)
    assert objective.beta(10**6, 234) == 0.2


def test_the_weight_in_training_is_that_of_the_settings(tmp_path):
    split = planted.split()
    options = {"epochs": 2, "batch_size": 40, "folder": tmp_path}
    MultVAE(hidden=[8], n_dims=4, warmup_steps=100).fit(split.train, **options)
    last = (tmp_path / "log.csv").read_text().splitlines()[-1].split(",")
    steps = 2 * -(-split.train.n_users // 40) - 1  # of the last step, from 0
    assert float(last[4]) == pytest.approx(steps / 100)


def test_the_fast_recipe_is_refused_with_a_way_out():
    with pytest.raises(
        SettingsError,
        match=r"multdae starts from random weights only, .* leave that out, or the recipe 'fast'",
    ):
        MultDAE(n_dims=4).fit(planted.split().train, recipe="fast", epochs=1)


@pytest.mark.parametrize(
    ("model", "settings", "message"),
    [
        (MultVAE, {"hidden": []}, "hidden is "),
        (MultVAE, {"hidden": [0]}, "hidden is 0"),
        (MultDAE, {"likelihood": "poisson"}, "likelihood is 'poisson'"),
        (MultDAE, {"beta": 1}, "there is no setting 'beta'"),
    ],
)
def test_settings_out_of_bounds_are_refused(model, settings, message):
    with pytest.raises(SettingsError, match=message):
        model(**settings)


@pytest.mark.parametrize("text", ["600,400", "[600, 400]", "(600, 400)"])
def test_widths_may_be_text_as_on_the_command_line(text):
    assert MultVAE(hidden=text).settings.hidden == (600, 400)
    assert MultDAE(hidden="").settings.hidden == ()
