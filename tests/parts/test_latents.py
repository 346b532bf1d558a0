"""Samples and their price: unit length, the width of the prior, the divergence."""

import pytest
import torch
from torch import nn

from macrid.data.histories import Histories
from macrid.parts.encoders import ConceptEncoder, Gaussian
from macrid.parts.latents import SphericalLatent

NOBODY = Histories.from_lists([])
NO_WEIGHTS = torch.zeros(1, 1)


class Fixed(ConceptEncoder):
    """An encoder that has made up its mind."""

    def __init__(self, mean, log_var):
        nn.Module.__init__(self)
        self.answer = Gaussian(mean, log_var)

    def forward(self, histories, log_weights, rows=None):
        return self.answer


def latent_of(mean, log_var, prior_std=0.075):
    return SphericalLatent(Fixed(mean, log_var), prior_std=prior_std)


def some_posterior(batch=4, n_concepts=3, n_dims=5):
    generator = torch.Generator().manual_seed(3)
    shape = (batch, n_concepts, n_dims)
    mean, log_var = (torch.randn(shape, generator=generator) for _ in range(2))
    return mean, log_var


@pytest.mark.parametrize("training", [True, False])
def test_points_have_unit_length(training):
    z = latent_of(*some_posterior(), prior_std=0.5).train(training)(NOBODY, NO_WEIGHTS).z
    torch.testing.assert_close(z.norm(dim=-1), torch.ones(4, 3))


def test_after_training_the_point_is_the_direction_of_the_mean():
    mean, log_var = some_posterior()
    latent = latent_of(mean, log_var).eval()
    z = latent(NOBODY, NO_WEIGHTS).z
    torch.testing.assert_close(z, mean / mean.norm(dim=-1, keepdim=True))
    assert torch.equal(z, latent(NOBODY, NO_WEIGHTS).z)


def test_while_training_each_point_is_drawn_anew():
    latent = latent_of(*some_posterior()).train()
    assert not torch.equal(latent(NOBODY, NO_WEIGHTS).z, latent(NOBODY, NO_WEIGHTS).z)


def test_noise_is_added_to_the_unit_mean_with_the_priors_and_the_posteriors_scale():
    mean, log_var = some_posterior()
    torch.manual_seed(9)
    z = latent_of(mean, log_var, prior_std=0.3).train()(NOBODY, NO_WEIGHTS).z
    torch.manual_seed(9)
    sample = mean / mean.norm(dim=-1, keepdim=True)
    sample = sample + torch.randn(mean.shape) * 0.3 * torch.exp(log_var / 2)
    torch.testing.assert_close(z, sample / sample.norm(dim=-1, keepdim=True))


def test_spread_around_the_mean_is_prior_std_at_log_var_zero():
    mean = torch.zeros(20_000, 1, 2)
    mean[..., 0] = 17.0  # its length carries no meaning
    z = latent_of(mean, torch.zeros_like(mean), prior_std=0.075).train()(NOBODY, NO_WEIGHTS).z
    torch.testing.assert_close(z[..., 1].std().item(), 0.075, rtol=0.02, atol=0)


@pytest.mark.parametrize("prior_std", [0.075, 1.0])
def test_kl_is_that_of_torch_without_the_constant_of_a_unit_mean(prior_std):
    mean, log_var = some_posterior()
    kl = latent_of(mean, log_var, prior_std)(NOBODY, NO_WEIGHTS).kl
    unit_mean = mean / mean.norm(dim=-1, keepdim=True)
    posterior = torch.distributions.Normal(unit_mean, prior_std * torch.exp(log_var / 2))
    prior = torch.distributions.Normal(torch.zeros_like(mean), prior_std)
    full = torch.distributions.kl_divergence(posterior, prior).sum((-1, -2))
    constant = mean.shape[1] / (2 * prior_std**2)  # per concept
    torch.testing.assert_close(kl, full - constant, rtol=1e-4, atol=1e-3)


def test_kl_is_zero_where_the_posterior_is_as_wide_as_the_prior_and_positive_elsewhere():
    mean, log_var = some_posterior()
    assert (latent_of(mean, torch.zeros_like(mean))(NOBODY, NO_WEIGHTS).kl == 0).all()
    assert (latent_of(mean, log_var)(NOBODY, NO_WEIGHTS).kl > 0).all()


def test_kl_does_not_depend_on_the_mean():
    mean, log_var = some_posterior()
    mean.requires_grad_()
    kl = latent_of(mean, log_var)(NOBODY, NO_WEIGHTS).kl
    assert torch.equal(kl, latent_of(-3 * mean, log_var)(NOBODY, NO_WEIGHTS).kl)
    assert not kl.requires_grad


def test_kl_is_the_same_in_training_and_after_it():
    latent = latent_of(*some_posterior())
    before = latent.train()(NOBODY, NO_WEIGHTS).kl
    assert torch.equal(before, latent.eval()(NOBODY, NO_WEIGHTS).kl)


@pytest.mark.parametrize("prior_std", [0.0, -0.1])
def test_a_prior_without_width_is_refused(prior_std):
    with pytest.raises(ValueError, match=r"prior_std is .* above 0"):
        latent_of(*some_posterior(), prior_std=prior_std)
