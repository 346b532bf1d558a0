"""Vamp and H+Vamp against the straight-line reference: same noise, loss and gradients."""

import math

import pytest
import torch

import planted
from macrid.data.histories import Histories
from macrid.errors import SettingsError, TooLarge
from macrid.models.vamp import HVamp, Vamp
from macrid.parts.encoders import Gaussian
from macrid.parts.priors import VampPrior, log_density
from macrid.training import memory
from macrid.training.schedule import unit_gradients
from reference import vamp as reference

N_ITEMS, N_PSEUDO, N_DIMS, HIDDEN, BETA = 31, 6, 4, 7, 0.7
SHAPES = [(Vamp, 1), (Vamp, 2), (HVamp, 1), (HVamp, 2), (HVamp, 3)]


def network_of(model, n_layers, **settings):
    """A small network with weights that are not tiny, so that a mistake shows."""
    sizes = {"n_dims": N_DIMS, "hidden": HIDDEN, "n_pseudo": N_PSEUDO, "n_layers": n_layers}
    torch.manual_seed(3)
    network = model(**sizes, **settings).build(N_ITEMS)
    for weight in network.parameters():
        torch.nn.init.normal_(weight, std=0.5)
    return network


def some_histories():
    generator = torch.Generator().manual_seed(7)
    lists = [torch.randperm(N_ITEMS, generator=generator)[:n].tolist() for n in (9, 1, 5, 20)]
    return Histories.from_lists(lists)


class Copied:
    """Ours as the reference wants it, remembered in pairs so that gradients can be compared."""

    def __init__(self):
        self.pairs = []

    def tensor(self, ours, *, turned=False):
        theirs = (ours.T if turned else ours).detach().double().clone().requires_grad_()
        self.pairs.append((ours, theirs, turned))
        return theirs

    def table(self, layer):
        return self.tensor(layer.context), self.tensor(layer.bias)

    def linear(self, layer):
        return self.tensor(layer.weight, turned=True), self.tensor(layer.bias)

    def stack(self, layers):
        return [self.linear(layer) for layer in layers]

    def weights(self, network):
        latent, decoder = network.latent, network.decoder
        two = hasattr(latent, "second")
        second = latent.second if two else None
        people, given, common = [], [], []
        if two and second.together:  # one layer of both, whose rows ours keeps in two places
            context, bias = self.table(second.people)
            both = torch.cat([context, self.tensor(second.given.weight, turned=True)])
            common = [(both, bias)]
        elif two:
            people, given = [self.table(second.people)], [self.linear(second.given)]
            common = self.stack(second.common)
        own = ([], [])
        if two:
            own = tuple(self.stack(layers) for layers in decoder.body.own)
        return reference.Weights(
            encoder=[self.table(latent.encoder), *self.stack(latent.encoder.layers)],
            head=self.linear(latent.head.linear),
            decoder=self.stack(decoder.body.common if two else decoder.body),
            output=(
                self.tensor(decoder.items.weight, turned=True),
                self.tensor(decoder.bias),
            ),
            pseudo=self.tensor(latent.prior.rows),
            second_people=people,
            second_given=given,
            second_common=common,
            second_head=[self.linear(latent.second_head.linear)] if two else [],
            prior=self.stack(latent.second_prior[0]) if two else [],
            prior_head=[self.linear(latent.second_prior[1].linear)] if two else [],
            decoder_own=own,
        )


def dense(histories, values=None):
    x = torch.zeros(len(histories), N_ITEMS, dtype=torch.float64)
    x[histories.users, histories.items] = 1 if values is None else values
    return x


def drawn(histories, dtype, *, two):
    """The noise, in the order in which the network draws it."""
    n_events = len(histories.items)

    def keep():
        return dense(histories, (torch.rand(1, n_events, dtype=dtype)[0] >= 0.5).double())

    def epsilon():
        return torch.randn(len(histories), 1, N_DIMS, dtype=dtype)[:, 0].double()

    noise = {"keep": keep(), "epsilon": epsilon()}
    if two:
        noise |= {"second_keep": keep(), "second_epsilon": epsilon()}
    thinned = torch.rand(N_PSEUDO, N_ITEMS, dtype=dtype) >= 0.5
    return reference.Noise(**noise, keep_pseudo=thinned.double())


@pytest.mark.parametrize("likelihood", ["logistic", "multinomial"])
@pytest.mark.parametrize("gated", [False, True], ids=["tanh", "gated"])
@pytest.mark.parametrize(("model", "n_layers"), SHAPES)
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 2e-4)], ids=["64", "32"]
)
def test_loss_and_gradients_are_those_of_the_reference(
    model, n_layers, gated, likelihood, dtype, tolerance
):
    network = network_of(model, n_layers, gated=gated, likelihood=likelihood).to(dtype).train()
    histories = some_histories()
    torch.manual_seed(11)
    bound = network(histories)
    loss = (BETA * bound.kl - bound.log_likelihood).mean()
    loss.backward()

    torch.manual_seed(11)
    noise = drawn(histories, dtype, two=model is HVamp)
    copied = Copied()
    expected = reference.loss(
        copied.weights(network),
        dense(histories),
        noise,
        gated=gated,
        beta=BETA,
        logistic=likelihood == "logistic",
    )
    expected.loss.backward()
    torch.testing.assert_close(loss.double(), expected.loss, rtol=tolerance, atol=0)
    torch.testing.assert_close(bound.kl.mean().double(), expected.kl, rtol=tolerance, atol=0)
    assert len(copied.pairs) == len(list(network.parameters()))
    for mine, theirs, turned in copied.pairs:
        grad = mine.grad.T if turned else mine.grad
        assert (grad.double() - theirs.grad).abs().max() <= tolerance * theirs.grad.abs().max()


def test_a_gate_is_no_tanh():
    """A large value passes a gate that is open."""
    network = network_of(Vamp, 1, gated=True)
    style = network.latent.encoder.style
    assert style(torch.tensor([50.0, 100.0])).item() == pytest.approx(50.0)


def test_log_variances_stay_within_their_bounds():
    network = network_of(Vamp, 1)
    hidden = torch.full((1, HIDDEN), 100.0)
    said = network.latent.head(torch.cat([hidden, -hidden])).log_var
    assert said.min() == -12
    assert said.max() == 4


def test_a_prior_of_one_pseudo_user_is_one_gaussian():
    torch.manual_seed(0)
    network = Vamp(n_dims=3, hidden=5, n_pseudo=1).build(N_ITEMS).double().eval()
    latent, z = network.latent, torch.randn(6, 1, 3, dtype=torch.float64)
    said = latent.head(latent.encoder.dense(latent.prior.rows))
    normal = torch.distributions.Normal(said.mean, (0.5 * said.log_var).exp())
    constant = 0.5 * 3 * torch.log(torch.tensor(2 * torch.pi, dtype=torch.float64))
    expected = normal.log_prob(z[:, 0]).sum(1) + constant
    torch.testing.assert_close(latent.prior(z, latent._of_rows), expected)


def test_first_weights_are_hes_and_pseudo_users_nearly_nobody():
    torch.manual_seed(0)
    network = HVamp(hidden=50, n_dims=20, n_layers=1, gated=False, n_pseudo=40).build(2000)
    latent = network.latent
    assert latent.encoder.context.std().item() == pytest.approx((2 / 2000) ** 0.5, rel=0.02)
    both = torch.cat([latent.second.people.context, latent.second.given.weight.T])
    assert both.std().item() == pytest.approx((2 / 2020) ** 0.5, rel=0.02)
    assert network.decoder.items.weight.std().item() == pytest.approx((2 / 50) ** 0.5, rel=0.02)
    assert latent.prior.rows.mean().item() == pytest.approx(0.05, abs=1e-3)
    assert latent.prior.rows.std().item() == pytest.approx(0.01, rel=0.05)


def test_the_weight_of_the_divergence_rises_by_epochs():
    objective = Vamp(beta=0.3).objective()
    betas = [objective.beta(step, steps_per_epoch=10) for step in (0, 9, 10, 990, 5000)]
    assert betas == pytest.approx([0.003, 0.003, 0.006, 0.3, 0.3])


def test_training_is_the_authors_unless_asked_otherwise():
    theirs = HVamp().training_settings({"batch_size": 50})
    assert (theirs.epochs, theirs.batch_size, theirs.learning_rate) == (400, 50, 5e-4)
    assert (theirs.gradients, theirs.patience, theirs.patience_from) == ("unit", 51, 99)


def test_published_settings_are_the_default():
    said = HVamp().settings
    assert (said.n_layers, said.gated, said.beta, said.likelihood) == (2, True, 0.3, "logistic")


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"n_pseudo": 0}, "n_pseudo is 0"), ({"n_layers": 0}, "n_layers is 0")],
)
def test_settings_out_of_bounds_are_refused(settings, message):
    with pytest.raises(SettingsError, match=message):
        Vamp(**settings)


@pytest.mark.parametrize(("dtype", "error"), [(torch.float32, 0.01), (torch.float64, 1e-9)])
def test_sharp_pseudo_users_cost_no_precision(dtype, error):
    """At the lowest log-variance the squares that cancel are a hundred thousand times the rest."""
    torch.manual_seed(0)
    prior = VampPrior(5, 40).to(dtype)
    said = Gaussian(torch.randn(40, 30, dtype=dtype), torch.full((40, 30), -12.0, dtype=dtype))
    z = (said.mean[:6] + 0.002 * torch.randn(6, 30, dtype=dtype))[:, None]
    wide = Gaussian(said.mean.double(), said.log_var.double())
    expected = log_density(z.double(), wide).logsumexp(1) - math.log(40)
    found = prior(z, lambda rows: said)
    assert found.dtype == dtype
    assert (found - expected).abs().max() < error


def test_pseudo_users_are_read_once_in_a_step(monkeypatch):
    network, read = network_of(HVamp, 2).train(), []
    dense = network.latent.encoder.dense
    monkeypatch.setattr(network.latent.encoder, "dense", lambda rows: read.append(1) or dense(rows))
    network(some_histories())
    assert len(read) == 1


def test_gradients_are_divided_by_the_lengths_of_the_authors_tensors():
    """Value and gate, mean and log-variance are one tensor each here, and two there."""
    network = network_of(HVamp, 2, gated=True).train()
    bound = network(some_histories())
    (bound.kl - bound.log_likelihood).mean().backward()
    unit_gradients(torch.optim.Adam(network.parameters()))
    latent, decoder = network.latent, network.decoder
    halves = [
        *latent.encoder.context.grad.chunk(2, 1),
        *latent.encoder.bias.grad.chunk(2),
        *latent.head.linear.weight.grad.chunk(2),
        *latent.second.given.weight.grad.chunk(2),
        *decoder.body.common[0].weight.grad.chunk(2),
        decoder.items.weight.grad,
        latent.prior.rows.grad,
    ]
    lengths = torch.stack([half.norm() for half in halves])
    torch.testing.assert_close(lengths, torch.ones(len(halves)))


def test_patience_that_is_asked_for_counts_from_the_first_epoch():
    assert Vamp().training_settings({"patience": 3}).patience_from == 0
    assert Vamp().training_settings({"patience": 3, "patience_from": 7}).patience_from == 7


def test_a_recipe_goes_before_the_models_own_training():
    fast = Vamp().training_settings({"recipe": "fast", "batch_size": 9, "start": "random"})
    assert (fast.epochs, fast.learning_rate, fast.batch_size) == (36, 4e-3, 9)
    assert fast.gradients == "unit"


def test_a_model_that_does_not_fit_says_what_would(monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda: 1000)
    with pytest.raises(TooLarge, match=r"a smaller hidden, or fewer n_pseudo$"):
        Vamp().fit(planted.split().train)


@pytest.mark.parametrize("model", [Vamp, HVamp])
def test_a_resumed_run_ends_as_one_that_was_not_interrupted(model, tmp_path):
    train = planted.split().train
    settings = {"hidden": 8, "n_dims": 4, "n_pseudo": 5}
    options = {"batch_size": 60, "folder": tmp_path}
    model(**settings).fit(train, epochs=2, **options)
    resumed = model(**settings).fit(train, epochs=4, resume=True, **options)
    whole = model(**settings).fit(train, epochs=4, batch_size=60)
    pairs = zip(resumed.tensors().values(), whole.tensors().values(), strict=True)
    assert all(torch.equal(*pair) for pair in pairs)


@pytest.mark.parametrize("model", [Vamp, HVamp])
def test_half_precision_learns_too(model):
    settings = {"hidden": 32, "n_dims": 8, "n_pseudo": 20}
    options = {"epochs": 4, "batch_size": 20, "learning_rate": 0.02, "precision": "bf16"}
    fitted = model(**settings).fit(planted.split().train, **options)
    lists = fitted.recommend(planted.newcomers(), k=10)
    assert planted.share_in_the_right_group(lists) >= 0.9
