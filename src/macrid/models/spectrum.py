"""First weights that know the data already: a network that starts near a linear recommender."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from macrid.data.interactions import Interactions
from macrid.models.vae import VAE
from macrid.parts.decoders import MixtureDecoder
from macrid.parts.encoders import ConceptEncoder
from macrid.parts.items import MIN_LENGTH, unit

USER_POWER, ITEM_POWER = 0.3, 0.4  # of the counts that events are divided by
POPULARITY, OFFSET, NOISE = 0.6, 4.0, 0.1
SPARE = 10  # columns of the random projection beyond those that are used


@torch.no_grad()
def start_from_spectrum(network: VAE, train: Interactions) -> None:
    r"""Set the tables and the encoder's layer from the singular vectors of the events.

    With :math:`V` the right singular vectors of the events
    :math:`x_{ui} / (n_u^{0.3} n_i^{0.4})`, context and item vectors become the rows of :math:`V`
    (items as directions), and the encoder's layer passes them on: a history points at the items
    that people with such histories had. The first dimension is kept for popularity: an item's
    coordinate there is its log-count, a person's is constant. All keep the lengths that they were
    drawn with, which set how fast Adam turns them. The prototypes stay as drawn.

    The powers and scales were chosen by how ml-1m's validation users are ranked before training.

    Args:
        network: As drawn; changed in place.
        train: Training users. Cost: a few products of the events with ``dims`` columns.
    """
    encoder, decoder = network.latent.encoder, network.decoder
    assert isinstance(encoder, ConceptEncoder)
    assert isinstance(decoder, MixtureDecoder)
    items = decoder.items.weight
    n_dims = items.shape[1]
    vectors = singular_vectors(train, n_dims - 1, USER_POWER, ITEM_POWER)
    # (item, dim); where there are fewer vectors than dimensions the last are empty.
    table = F.pad(vectors, (1, n_dims - 1 - vectors.shape[1]))
    log_counts = torch.from_numpy(train.item_counts()).float().clamp_min(1).log()
    popularity = POPULARITY * decoder.tau * (log_counts - log_counts.mean())
    popularity.clamp_(-0.9, 0.9)

    directions = unit(table) * (1 - popularity.square()).sqrt()[:, None]
    directions[:, 0] = popularity
    items.copy_(directions * _length(items))
    length = _length(encoder.context)
    encoder.context.copy_(table * length / _length(table).clamp_min(MIN_LENGTH))
    encoder.head.weight[:n_dims] *= NOISE
    encoder.head.weight[:n_dims].diagonal().add_(1)
    encoder.head.bias[0] = OFFSET * length


def singular_vectors(
    train: Interactions, number: int, user_power: float, item_power: float
) -> Float[Tensor, "item some"]:
    """The first right singular vectors of the events, each over powers of its two counts.

    Args:
        train: Training users.
        number: How many are wanted; there are fewer where there are fewer users or items.
        user_power: Of the number of a user's events.
        item_power: Of an item's.
    """
    users, columns = (torch.from_numpy(side).long() for side in (train.rows, train.columns))
    scales = [
        side.bincount()[side].float() ** -power
        for side, power in ((users, user_power), (columns, item_power))
    ]
    shape = train.n_users, train.n_items
    events = torch.stack([users, columns])
    matrix = torch.sparse_coo_tensor(events, scales[0] * scales[1], shape, check_invariants=False)
    rank = min(number + SPARE, *shape)
    return torch.svd_lowrank(matrix.coalesce(), rank, niter=2)[2][:, :number]


def _length(table: Tensor) -> Tensor:
    """The rows' mean length."""
    return table.norm(dim=-1).mean()
