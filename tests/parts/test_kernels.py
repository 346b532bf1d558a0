"""The blocked likelihood against the naive one, in value, gradient and memory."""

import pytest
import torch

from macrid.data.histories import Histories
from macrid.parts import kernels
from macrid.parts.kernels import mixture_log_likelihood

BATCH, N_CONCEPTS, N_DIMS, N_ITEMS = 6, 3, 4, 29
WIDE = 16  # dims, concepts and shift, rounded up
LISTS = [[0, 28, 7], [], [5], list(range(29)), [3, 3, 9, 3], [28]]  # empty, whole, duplicates


def inputs(scale=1.0, dtype=torch.float64, n_items=N_ITEMS):
    """z, vectors, log-weights; ``scale`` sets how large the logits get."""
    generator = torch.Generator().manual_seed(8)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    z, vectors = normal(BATCH, N_CONCEPTS, N_DIMS), normal(n_items, N_DIMS)
    z = scale * z / z.norm(dim=-1, keepdim=True)
    vectors = vectors / vectors.norm(dim=-1, keepdim=True)
    log_weights = normal(n_items, N_CONCEPTS).log_softmax(-1)
    return tuple(t.to(dtype).requires_grad_() for t in (z, vectors, log_weights))


def naive_logits(z, vectors, log_weights):
    return (z @ vectors.T + log_weights.T).logsumexp(1)


def naive_log_likelihood(z, vectors, log_weights, histories):
    log_probs = naive_logits(z, vectors, log_weights).log_softmax(-1)
    observed = log_probs[histories.users, histories.items]
    return torch.zeros(len(histories), dtype=z.dtype).index_add(0, histories.users, observed)


def gradients(value, tensors):
    """Of a weighted sum, so that no person's gradient can stand for another's."""
    weights = torch.arange(1, BATCH + 1, dtype=value.dtype)
    return torch.autograd.grad((value * weights).sum(), tensors)


# 10 is tau 0.1; 60 is past the bound of the path without maxima; 2000 overflows exp in any type.
SCALES = [0.0, 1.0, 10.0, 39.9, 60.0, 2000.0]


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("block", [1, 7, 28, 29, 30, 256, None])
def test_blocks_of_any_size_give_the_naive_likelihood_and_gradients(scale, block):
    tensors, histories = inputs(scale), Histories.from_lists(LISTS)
    ours = mixture_log_likelihood(*tensors, histories, block)
    naive = naive_log_likelihood(*tensors, histories)
    torch.testing.assert_close(ours, naive, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(
        gradients(ours, tensors), gradients(naive, tensors), rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize("at_once", [1, 2, 4, 6])
@pytest.mark.parametrize("scale", SCALES)
def test_one_pass_gives_the_naive_likelihood_and_gradients(monkeypatch, at_once, scale):
    """A mean counts everybody alike, so that gradients are taken along with the likelihood."""
    each = N_CONCEPTS * N_ITEMS * 8
    monkeypatch.setattr(kernels, "_FEWEST", at_once)
    monkeypatch.setattr(kernels, "_BLOCK_BYTES", at_once * each)
    tensors, histories = inputs(scale), Histories.from_lists(LISTS)
    ours = mixture_log_likelihood(*tensors, histories)
    naive = naive_log_likelihood(*tensors, histories)
    torch.testing.assert_close(ours, naive, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(
        torch.autograd.grad(ours.mean(), tensors),
        torch.autograd.grad(naive.mean(), tensors),
        rtol=1e-9,
        atol=1e-9,
    )


def test_a_large_catalogue_is_read_twice_and_a_small_one_once(monkeypatch):
    tensors, histories = inputs(), Histories.from_lists(LISTS)
    for most, products in ((0, 4), (2**20, 3)):
        monkeypatch.setattr(kernels, "_BLOCK_BYTES", most)
        monkeypatch.setattr(kernels, "_MOST_BYTES", most)
        with torch.profiler.profile() as profile:
            mixture_log_likelihood(*tensors, histories).mean().backward()
        calls = {event.key: event.count for event in profile.key_averages()}
        assert calls["aten::mm"] == products


@pytest.mark.parametrize("scale", [5.0, 50.0])
def test_gradcheck(scale):
    """Finite differences agree, on both sides of the bound."""
    histories = Histories.from_lists(LISTS)
    assert torch.autograd.gradcheck(
        lambda *tensors: mixture_log_likelihood(*tensors, histories, 8), inputs(scale)
    )


def test_a_second_derivative_is_refused_rather_than_wrong():
    tensors = inputs()
    scale = torch.ones(BATCH, dtype=torch.float64, requires_grad=True)
    value = (scale * mixture_log_likelihood(*tensors, Histories.from_lists(LISTS))).sum()
    (grad,) = torch.autograd.grad(value, tensors[0], create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        grad.sum().backward()


@pytest.mark.parametrize("scale", SCALES)
def test_single_precision_is_close_to_double_and_finite(scale):
    histories = Histories.from_lists(LISTS)
    single, double = inputs(scale, torch.float32), inputs(scale)
    ours = mixture_log_likelihood(*single, histories, 8)
    exact = naive_log_likelihood(*double, histories)
    torch.testing.assert_close(ours.double(), exact, rtol=1e-5, atol=1e-4)
    for mine, theirs in zip(gradients(ours, single), gradients(exact, double), strict=True):
        assert mine.isfinite().all()
        assert (mine.double() - theirs).abs().max() <= 2e-4 * theirs.abs().max().clamp_min(1)


def test_opposite_poles_do_not_underflow_at_the_edge_of_the_bound():
    """Every item at the far pole: the smallest exponentials the path without maxima can meet."""
    z = torch.full((2, 1, 1), 40.0, requires_grad=True)
    vectors = torch.full((5, 1), -1.0, requires_grad=True)
    histories = Histories.from_lists([[0, 1, 2, 3, 4], [2]])
    value = mixture_log_likelihood(z, vectors, torch.zeros(5, 1), histories)
    uniform = -torch.tensor(5.0).log()
    torch.testing.assert_close(value.detach(), torch.stack([5 * uniform, uniform]))
    assert all(g.isfinite().all() for g in torch.autograd.grad(value.sum(), (z, vectors)))


def test_a_duplicate_counts_as_often_as_it_stands():
    tensors = inputs()
    twice = mixture_log_likelihood(*tensors, Histories.from_lists([[3, 3]] * BATCH))
    once = mixture_log_likelihood(*tensors, Histories.from_lists([[3]] * BATCH))
    torch.testing.assert_close(twice, 2 * once)
    torch.testing.assert_close(
        gradients(twice, tensors), tuple(2 * g for g in gradients(once, tensors))
    )


def test_an_empty_history_has_likelihood_one_and_no_gradient():
    tensors = inputs()
    value = mixture_log_likelihood(*tensors, Histories.from_lists([[]] * BATCH))
    assert (value == 0).all()
    assert all((grad == 0).all() for grad in gradients(value, tensors))


def test_a_batch_without_people_is_empty():
    z, vectors, log_weights = inputs()
    nobody = mixture_log_likelihood(z[:0], vectors, log_weights, Histories.from_lists([]))
    assert nobody.shape == (0,)
    assert all((grad == 0).all() for grad in torch.autograd.grad(nobody.sum(), (z, vectors)))


@pytest.mark.parametrize("scale", [1.0, 10.0, 60.0, 2000.0, 50_000.0])
def test_items_wholly_in_one_concept_see_only_its_point(scale):
    """Log-weights of -inf, as ``assignment="mode"`` has them."""
    z, vectors, log_weights = (t.detach() for t in inputs(scale))
    one_hot = torch.nn.functional.one_hot(log_weights.argmax(-1), N_CONCEPTS).double().log()
    histories = Histories.from_lists(LISTS)
    torch.testing.assert_close(
        mixture_log_likelihood(z, vectors, one_hot, histories),
        naive_log_likelihood(z, vectors, one_hot, histories),
    )


def test_log_weights_of_minus_infinity_have_no_nan_in_their_gradients():
    z, vectors, log_weights = inputs()
    one_hot = torch.nn.functional.one_hot(log_weights.argmax(-1), N_CONCEPTS).double().log()
    value = mixture_log_likelihood(z, vectors, one_hot, Histories.from_lists(LISTS))
    assert all(grad.isfinite().all() for grad in gradients(value, (z, vectors)))


def test_nothing_of_batch_times_concepts_times_items_is_kept():
    n_items = 4000
    tensors, histories = inputs(n_items=n_items), Histories.from_lists(LISTS)
    sizes = []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda t: sizes.append(t.numel()) or t, lambda t: t
    ):
        value = mixture_log_likelihood(*tensors, histories)
    # The widest thing kept are the items with their log-weights beside them, padded.
    assert max(sizes) == n_items * WIDE
    assert max(sizes) < BATCH * N_CONCEPTS * n_items
    value.sum().backward()


class Largest(torch.utils._python_dispatch.TorchDispatchMode):
    """Remembers the largest tensor that any operation made."""

    numel = 0

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        out = operation(*args, **(kwargs or {}))
        if isinstance(out, torch.Tensor):
            self.numel = max(self.numel, out.numel())
        return out


def test_nothing_of_batch_times_concepts_times_items_is_even_made():
    n_items, block = 4000, 100
    tensors, histories = inputs(n_items=n_items), Histories.from_lists(LISTS)
    with Largest() as forward:
        value = mixture_log_likelihood(*tensors, histories, block)
    wide = n_items * WIDE
    assert forward.numel == wide
    assert wide < BATCH * N_CONCEPTS * n_items
    assert value.isfinite().all()


def test_bf16_products_are_close_to_single_precision():
    """Half the digits in the products, all of them in the sums; 8 bits at a logit of ±10."""
    tensors, histories = inputs(10.0, torch.float32), Histories.from_lists(LISTS)
    exact = mixture_log_likelihood(*tensors, histories)
    with torch.autocast("cpu", torch.bfloat16):
        rough = mixture_log_likelihood(*tensors, histories)
    assert rough.dtype == torch.float32
    error = (rough - exact).abs() / histories.lengths.clamp_min(1)
    assert 0 < error.max() < 0.1
    for mine, theirs in zip(gradients(rough, tensors), gradients(exact, tensors), strict=True):
        assert mine.dtype == torch.float32
        cosine = torch.nn.functional.cosine_similarity(mine.flatten(), theirs.flatten(), dim=0)
        assert cosine > 0.999
