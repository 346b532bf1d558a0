"""RecVAE against the straight-line reference, and the turns of its encoder and decoder."""

import pytest
import torch

import macrid
import planted
from macrid.data.histories import Histories
from macrid.errors import SettingsError
from macrid.models.recvae import RecVAE
from macrid.parts.encoders import ResidualEncoder
from macrid.training import memory
from macrid.training.batches import ShuffledBatches
from macrid.training.fit import fit_network
from macrid.training.settings import TrainingSettings
from reference import recvae as reference

N_ITEMS, N_DIMS, HIDDEN, GAMMA = 31, 4, 7, 0.1


def network_of(n_layers=3):
    """A small network with weights that are not tiny, so that a mistake shows."""
    torch.manual_seed(3)
    network = RecVAE(n_dims=N_DIMS, hidden=HIDDEN, n_layers=n_layers, gamma=GAMMA).build(N_ITEMS)
    for weight in [*network.parameters(), *network.buffers()]:
        torch.nn.init.normal_(weight, std=0.5)
    return network


def some_histories():
    generator = torch.Generator().manual_seed(7)
    lists = [torch.randperm(N_ITEMS, generator=generator)[:n].tolist() for n in (9, 1, 5, 20)]
    return Histories.from_lists(lists)


def dense(histories, values=1.0):
    x = torch.zeros(len(histories), N_ITEMS, dtype=torch.float64)
    x[histories.users, histories.items] = values
    return x


def theirs(weights, *, turned=()):
    """Leaves in double precision, by name."""
    return {
        name: (weight.T if name in turned else weight).detach().double().clone().requires_grad_()
        for name, weight in weights.items()
    }


def encoder_of(named):
    """The reference's encoder from our names."""
    n_layers = sum(name.startswith("norms") for name in named) // 2
    layers = [(named["context"], named["bias"])]
    layers += [
        (named[f"layers.{n}.weight"].T, named[f"layers.{n}.bias"]) for n in range(n_layers - 1)
    ]
    norms = [(named[f"norms.{n}.weight"], named[f"norms.{n}.bias"]) for n in range(n_layers)]
    head = named["head.linear.weight"].T, named["head.linear.bias"]
    return reference.Encoder(layers, norms, head)


@pytest.mark.parametrize("n_layers", [1, 2, 5])
@pytest.mark.parametrize("decoder_pass", [False, True], ids=["encoder", "decoder"])
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 2e-4)], ids=["64", "32"]
)
def test_loss_and_gradients_are_those_of_the_reference(n_layers, decoder_pass, dtype, tolerance):
    network, histories = network_of(n_layers).to(dtype).train(), some_histories()
    network.begin_pass(3 if decoder_pass else 0)
    torch.manual_seed(11)
    bound = network(histories)
    loss = (GAMMA * bound.kl * histories.lengths - bound.log_likelihood).mean()
    loss.backward()

    torch.manual_seed(11)
    keep = dense(histories)
    if not decoder_pass:
        kept = torch.rand(1, len(histories.items), dtype=dtype)[0] >= 0.5
        keep = dense(histories, 2 * kept.double())
    epsilon = torch.randn(len(histories), 1, N_DIMS, dtype=dtype)[:, 0].double()
    latent = network.latent
    encoder = theirs(dict(latent.encoder.named_parameters()))
    old = theirs(dict(zip(latent.names, latent.buffers(), strict=True)))
    last = theirs({"weight": network.decoder.items.weight, "bias": network.decoder.bias})
    output = last["weight"].T, last["bias"]
    options = {"gamma": GAMMA, "keep": keep, "epsilon": epsilon}
    expected = reference.loss(
        encoder_of(encoder), encoder_of(old), output, dense(histories), **options
    )
    torch.testing.assert_close(loss.double(), expected, rtol=tolerance, atol=0)
    expected.backward()
    moved = {"weight": network.decoder.items.weight, "bias": network.decoder.bias}
    resting, wanted = dict(latent.encoder.named_parameters()), last
    if not decoder_pass:
        (moved, resting), wanted = (resting, moved), encoder
    assert all(weight.grad is None for weight in resting.values())
    for name, weight in moved.items():
        want = wanted[name].grad
        assert (weight.grad.double() - want).abs().max() <= tolerance * want.abs().max()


def test_the_decoders_pass_remembers_the_encoder():
    network = network_of().train()
    latent = network.latent
    before = [old.clone() for old in latent.buffers()]
    network.begin_pass(2)
    assert all(torch.equal(old, was) for old, was in zip(latent.buffers(), before, strict=True))
    network.begin_pass(3)
    pairs = zip(latent.buffers(), latent.encoder.parameters(), strict=True)
    assert all(torch.equal(old, weight) for old, weight in pairs)


def test_an_epoch_is_three_passes_for_the_encoder_and_one_for_the_decoder(monkeypatch):
    """Seen in training itself: what moves in each of its passes."""
    train = planted.split().train
    network = RecVAE(n_dims=4, hidden=8, n_layers=2).build(train.n_items)
    moved, begin = [], network.begin_pass

    def noting(number):
        now = [network.latent.encoder.context.detach().clone(), network.decoder.bias.clone()]
        if noting.before:
            moved.append(
                tuple(not torch.equal(*pair) for pair in zip(noting.before, now, strict=True))
            )
        noting.before = now
        begin(number)

    noting.before = None
    monkeypatch.setattr(network, "begin_pass", noting)
    settings = TrainingSettings(epochs=2, batch_size=60)
    model = RecVAE(n_dims=4, hidden=8, n_layers=2)
    fit_network(network, train, None, model.objective(), settings)
    encoder, decoder = (True, False), (False, True)
    assert moved == [encoder, encoder, encoder, decoder] * 2
    assert all(weight.requires_grad for weight in network.parameters())
    assert network.latent.encoder.dropout == 0.5


def test_each_pass_sees_everybody_in_an_order_of_its_own():
    batches = list(ShuffledBatches(7, 3, seed=0, passes=2))
    assert len(batches) == len(ShuffledBatches(7, 3, seed=0, passes=2)) == 6
    first, second = [[int(row) for rows in batches[at : at + 3] for row in rows] for at in (0, 3)]
    assert sorted(first) == sorted(second) == list(range(7))
    assert first != second


@pytest.mark.xdist_group("recvae")  # where it is fitted once
def test_a_saved_model_does_without_what_was_remembered(tmp_path):
    model = planted.fitted("recvae")
    model.save(tmp_path / "model")
    again = macrid.load(tmp_path / "model")
    assert again.recommend(planted.newcomers()).equals(model.recommend(planted.newcomers()))
    assert sum(tensor.numel() for tensor in again.tensors().values()) == again.n_parameters(50)


def test_a_resumed_run_ends_as_one_that_was_not_interrupted(tmp_path):
    split = planted.split()
    settings = {"hidden": 8, "n_layers": 2, "n_dims": 4}
    options = {"batch_size": 60, "folder": tmp_path}
    RecVAE(**settings).fit(split.train, epochs=2, **options)
    resumed = RecVAE(**settings).fit(split.train, epochs=4, resume=True, **options)
    whole = RecVAE(**settings).fit(split.train, epochs=4, batch_size=60)
    pairs = zip(resumed.tensors().values(), whole.tensors().values(), strict=True)
    assert all(torch.equal(*pair) for pair in pairs)


def test_the_encoder_starts_as_torch_would():
    torch.manual_seed(0)
    encoder = RecVAE().build(900).latent.encoder
    assert isinstance(encoder, ResidualEncoder)
    assert encoder.context.abs().max().item() == pytest.approx(900**-0.5, rel=1e-3)
    assert encoder.layers[0].weight.abs().max().item() == pytest.approx(600**-0.5, rel=1e-3)


def test_settings_out_of_bounds_are_refused():
    with pytest.raises(SettingsError, match="gamma is -1"):
        RecVAE(gamma=-1)


def test_training_is_the_authors_unless_asked_otherwise():
    theirs = RecVAE().training_settings({})
    assert (theirs.epochs, theirs.batch_size, theirs.learning_rate) == (50, 500, 5e-4)
    objective = RecVAE().objective()
    assert objective.per_event
    assert objective.beta(0, 10) == objective.beta(10**6, 10) == 0.005


def test_the_memory_estimate_counts_what_is_remembered():
    train = planted.split().train
    with torch.device("meta"):
        network = RecVAE().build(100_000)
    remembered = 4 * sum(old.numel() for old in network.latent.buffers())
    alone = memory.training_bytes(network, train, TrainingSettings())
    for name, _ in list(network.latent.named_buffers()):
        delattr(network.latent, name)
    assert alone - memory.training_bytes(network, train, TrainingSettings()) == remembered
