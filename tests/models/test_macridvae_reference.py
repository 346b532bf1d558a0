"""MacridVAE against the straight-line reference: same noise, same loss, same gradients."""

import pytest
import torch

from macrid.data.histories import Histories
from macrid.models.macridvae import MacridVAESettings, macrid_vae
from macrid.training.objective import squared_weights
from reference import macridvae as reference

N_ITEMS, N_DIMS, N_CONCEPTS = 37, 6, 3
BETA, L2 = 0.7, 0.03


def network_of(**settings):
    """A small network with weights that are not tiny, so that a mistake shows."""
    torch.manual_seed(3)
    sizes = {"n_concepts": N_CONCEPTS, "n_dims": N_DIMS, "tau": 0.2, "prior_std": 0.3}
    network = macrid_vae(N_ITEMS, MacridVAESettings(**(sizes | settings)))
    for weight in network.parameters():
        torch.nn.init.normal_(weight, std=0.5)
    return network


def reference_weights(network):
    encoder = network.latent.encoder
    tensors = {
        "context": encoder.context,
        "context_bias": encoder.bias,
        "hidden": encoder.head.weight.T,
        "hidden_bias": encoder.head.bias,
        "items": network.concepts.items.weight,
        "prototypes": network.concepts.weight,
    }
    return {name: t.detach().clone().requires_grad_() for name, t in tensors.items()}


def some_histories():
    generator = torch.Generator().manual_seed(7)
    lists = [torch.randperm(N_ITEMS, generator=generator)[:n].tolist() for n in (9, 1, 5, 20)]
    return Histories.from_lists(lists)


def dense(histories):
    x = torch.zeros(len(histories), N_ITEMS, dtype=torch.float64)
    x[histories.users, histories.items] = 1
    return x


def noise(histories, dropout, sampling, dtype):
    """The draws of one training step, in the order in which the network makes them."""
    gumbel = None
    if sampling == "soft":
        gumbel = -(-torch.rand(N_ITEMS, N_CONCEPTS, dtype=dtype).log()).log()
    kept = (torch.rand(N_CONCEPTS, len(histories.items), dtype=dtype) >= dropout).T
    keep = torch.zeros(len(histories), N_CONCEPTS, N_ITEMS, dtype=dtype)
    keep[histories.users, :, histories.items] = kept.to(dtype)
    epsilon = torch.randn(len(histories), N_CONCEPTS, N_DIMS, dtype=dtype)
    return {"gumbel": gumbel, "keep": keep, "epsilon": epsilon}


@pytest.mark.parametrize("similarity", ["cosine", "inner"])
@pytest.mark.parametrize("sampling", ["soft", "none"])
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-4)], ids=["64", "32"]
)
def test_loss_and_gradients_are_those_of_the_reference(similarity, sampling, dtype, tolerance):
    network = network_of(similarity=similarity, assignment_sampling=sampling).to(dtype).train()
    histories = some_histories()

    torch.manual_seed(11)
    bound = network(histories)
    loss = (BETA * bound.kl - bound.log_likelihood).mean() + L2 * squared_weights(network)
    loss.backward()

    torch.manual_seed(11)
    weights = {
        name: w.detach().double().requires_grad_() for name, w in reference_weights(network).items()
    }
    drawn = noise(histories, 0.5, sampling, dtype)
    drawn = {name: None if value is None else value.double() for name, value in drawn.items()}
    expected = reference.loss(
        reference.Weights(**weights),
        dense(histories),
        tau=0.2,
        prior_std=0.3,
        dropout=0.5,
        beta=BETA,
        l2=L2,
        similarity=similarity,
        **drawn,
    )
    expected.loss.backward()

    torch.testing.assert_close(loss.double(), expected.loss, rtol=tolerance, atol=0)
    torch.testing.assert_close(bound.kl.mean().double(), expected.kl, rtol=tolerance, atol=0)
    ours = reference_weights(network)
    grads = dict(
        zip(
            ours,
            [
                network.latent.encoder.context.grad,
                network.latent.encoder.bias.grad,
                network.latent.encoder.head.weight.grad.T,
                network.latent.encoder.head.bias.grad,
                network.concepts.items.weight.grad,
                network.concepts.weight.grad,
            ],
            strict=True,
        )
    )
    for name, grad in grads.items():
        scale = weights[name].grad.abs().max()
        difference = (grad.double() - weights[name].grad).abs().max()
        assert difference <= tolerance * scale, name


@pytest.mark.parametrize("similarity", ["cosine", "inner"])
@pytest.mark.parametrize("assignment", ["soft", "mode"])
def test_scores_rank_as_the_reference_does(similarity, assignment):
    network = network_of(similarity=similarity, assignment=assignment).double().eval()
    histories = some_histories()
    weights = reference.Weights(**reference_weights(network))
    expected = reference.scores(
        weights, dense(histories), tau=0.2, assignment=assignment, similarity=similarity
    )
    torch.testing.assert_close(network.scores(histories).log_softmax(-1), expected)
