"""MacridVAE written straight out: what should the library's numbers be?

Ma et al. (2019), the way the authors' TF1 code does it where paper and code differ. Everything is
dense and nothing is random: noise is an argument, and leaving it out is test mode. Conventions:
``unit`` is the only L2 norm, so an all-zero row stays zero; ``log_var`` is ln(σ²/σ₀²), which is the
code's -b; every figure is in nats and a mean over users.

``similarity="inner"`` is the ablation of Fig. 2e, for which no code exists. Our reading: items and
prototypes keep their lengths, in the assignments and in the decoder alike. Nothing else changes:
z and the means keep unit length, and products are still divided by tau.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Similarity = Literal["cosine", "inner"]


@dataclass(frozen=True)
class Weights:
    """The learned tensors, with the code's names for them."""

    context: Tensor  # W0, (item, dim)
    context_bias: Tensor  # b0, (dim,)
    hidden: Tensor  # W1, (dim, 2 * dim): the mean's half first
    hidden_bias: Tensor  # b1, (2 * dim,)
    items: Tensor  # h, (item, dim)
    prototypes: Tensor  # m, "cores", (concept, dim)


@dataclass(frozen=True)
class Loss:
    """The loss, its terms, and what they were computed from."""

    loss: Tensor  # recon + beta * kl + l2
    recon: Tensor  # mean over users
    kl: Tensor  # mean over users, summed over concepts; not yet times beta
    l2: Tensor  # already times its rate
    log_probs: Tensor  # (batch, item)
    mean: Tensor  # (batch, concept, dim), unit length
    log_var: Tensor  # (batch, concept, dim), relative to the prior: 0 is the prior's variance
    z: Tensor  # (batch, concept, dim), unit length
    assignments: Tensor  # (item, concept), rows sum to 1


def loss(
    weights: Weights,
    x: Tensor,  # (batch, item)
    *,
    tau: float,
    prior_std: float,
    dropout: float,
    beta: float,
    l2: float,
    gumbel: Tensor | None,  # (item, concept), one draw for the encoder and the decoder
    keep: Tensor | None,  # (batch, concept, item) of 0 and 1
    epsilon: Tensor | None,  # (batch, concept, dim), standard normal
    similarity: Similarity = "cosine",
) -> Loss:
    """One batch's loss; ``dropout`` is the rate dropped, and acts only where ``keep`` is given."""
    log_c = log_assignments(weights, tau=tau, gumbel=gumbel, similarity=similarity)
    mean, log_var = encode(weights, x, log_c.exp(), dropout=dropout, keep=keep)
    z = mean
    if epsilon is not None:
        z = unit(mean + epsilon * prior_std * torch.exp(log_var / 2))
    log_probs = decode(weights, z, log_c, tau=tau, similarity=similarity)

    recon = -(x * log_probs).sum(-1).mean()
    # ½ Σ (b + exp(-b) - 1), with b = -log_var. The code leaves out the constant ‖μ‖² / 2σ₀².
    kl = (log_var.exp() - log_var - 1).sum((-1, -2)).mean() / 2
    matrices = (weights.context, weights.hidden, weights.items, weights.prototypes)
    penalty = l2 * torch.stack([matrix.square().sum() for matrix in matrices]).sum()
    total = recon + beta * kl + penalty
    return Loss(total, recon, kl, penalty, log_probs, mean, log_var, z, log_c.exp())


def scores(
    weights: Weights,
    x: Tensor,
    *,
    tau: float,
    assignment: Literal["soft", "mode"] = "soft",
    similarity: Similarity = "cosine",
) -> Tensor:
    """Test mode's log-probabilities, (batch, item).

    ``"soft"`` is the code's softmax; ``"mode"`` the paper's: each item wholly in its likeliest
    concept, for the encoder and the decoder alike.
    """
    log_c = log_assignments(weights, tau=tau, gumbel=None, similarity=similarity)
    if assignment == "mode":
        one_hot = torch.zeros_like(log_c).scatter(-1, log_c.argmax(-1, keepdim=True), 1.0)
        log_c = one_hot.log()
    mean, _ = encode(weights, x, log_c.exp(), dropout=0.0, keep=None)
    return decode(weights, mean, log_c, tau=tau, similarity=similarity)


def log_assignments(
    weights: Weights, *, tau: float, gumbel: Tensor | None, similarity: Similarity
) -> Tensor:
    """ln c, (item, concept); the Gumbel softmax is soft and has temperature 1, not tau."""
    items, prototypes = weights.items, weights.prototypes
    if similarity == "cosine":
        items, prototypes = unit(items), unit(prototypes)
    logits = items @ prototypes.T / tau
    if gumbel is not None:
        logits = logits + gumbel
    return logits.log_softmax(-1)


def encode(
    weights: Weights, x: Tensor, c: Tensor, *, dropout: float, keep: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Mean and log_var, each (batch, concept, dim); the views are normalised, then dropped out."""
    views = unit(x[:, None, :] * c.T[None, :, :])  # (batch, concept, item)
    if keep is not None:
        views = views * keep / (1 - dropout)
    hidden = torch.tanh(views @ weights.context + weights.context_bias)
    a, b = (hidden @ weights.hidden + weights.hidden_bias).chunk(2, dim=-1)
    return unit(a), -b


def decode(
    weights: Weights, z: Tensor, log_c: Tensor, *, tau: float, similarity: Similarity
) -> Tensor:
    """ln p, (batch, item), where p_ui ∝ Σ_k c_ik exp(z_uk · h_i / tau)."""
    items = unit(weights.items) if similarity == "cosine" else weights.items
    per_concept = z @ items.T / tau + log_c.T  # (batch, concept, item)
    return per_concept.logsumexp(1).log_softmax(-1)


def beta_at(step: int, *, max_beta: float, n_batches: int) -> float:
    """The weight of the KL at update ``step``, counted from 0: 0.2 more each epoch, to the cap."""
    return min(max_beta, step / (5 * n_batches))


def unit(x: Tensor) -> Tensor:
    """TensorFlow's ``l2_normalize``: the squared length is kept above 1e-12."""
    return x * x.square().sum(-1, keepdim=True).clamp_min(1e-12).rsqrt()
