"""Shares that sum, histories that lack one, and sentences."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from macrid.control import explain as module
from macrid.control.explain import concept_shares, leave_one_out, say, without_each


@given(st.integers(0, 2**16), st.integers(1, 5), st.floats(1e-3, 10), st.booleans())
def test_shares_sum_to_one_parts_to_the_score_and_products_to_the_cosine(seed, k, tau, whole):
    draw = torch.Generator().manual_seed(seed)
    z, vectors = (torch.randn(n, 6, generator=draw) for n in (k, 4))
    log_weights = torch.randn(4, k, generator=draw).log_softmax(1)
    if whole:  # each item in one concept alone
        one = torch.nn.functional.one_hot(log_weights.argmax(1), k)
        log_weights = one.float().log()
    found = concept_shares(z, vectors, log_weights, tau)
    joint = log_weights.double() + vectors.double() @ z.double().T / tau
    torch.testing.assert_close(found.score, joint.logsumexp(1))
    torch.testing.assert_close(found.share.sum(1), torch.ones(4).double())
    torch.testing.assert_close(found.part.sum(1), found.score)
    torch.testing.assert_close(found.product.sum(2), found.cosine)
    assert (found.share >= 0).all()


def test_a_part_is_the_concepts_term_weighed_and_what_it_adds_to_the_entropy():
    draw = torch.Generator().manual_seed(0)
    z, vectors = (torch.randn(3, 6, generator=draw) for _ in range(2))
    log_weights = torch.randn(3, 3, generator=draw).log_softmax(1)
    found = concept_shares(z, vectors, log_weights, 0.5)
    terms = log_weights.double() + found.cosine / 0.5
    torch.testing.assert_close(found.part, found.share * (terms - found.share.log()))


@given(st.integers(1, 8), st.data())
def test_each_event_is_missing_once_and_the_others_keep_their_order(n, data):
    first = data.draw(st.integers(0, n - 1))
    last = data.draw(st.integers(first + 1, n))
    people = without_each(torch.arange(n) + 10, first, last)
    lists = [people.items[a:b].tolist() for a, b in people.offsets.unfold(0, 2, 1)]
    assert lists == [[i + 10 for i in range(n) if i != out] for out in range(first, last)]


def test_blocks_of_people_change_nothing(monkeypatch):
    def sums(people):
        rows = torch.zeros(len(people)).index_add_(0, people.users, people.items.float())
        return torch.stack([rows, rows.square()], 1)

    history = torch.tensor([1, 2, 3, 4, 5])
    whole, change = leave_one_out(sums, history)
    monkeypatch.setattr(module, "_EVENTS", 10)
    again, blocks = leave_one_out(sums, history)
    assert torch.equal(whole, again)
    assert torch.equal(change, blocks)
    assert change[:, 0].tolist() == [1, 2, 3, 4, 5]


def test_one_event_alone_carries_all():
    whole, change = leave_one_out(lambda p: p.lengths[:, None].float(), torch.tensor([3]))
    assert (whole.tolist(), change.tolist()) == ([1.0], [[1.0]])


def test_a_sentence_names_concepts_the_dimension_and_both_sides():
    past = [("A", 0.5), ("B", 0.25), ("C", 0.001), ("D", -0.25)]
    concepts = [("bags", 0.7), ("shoes", 0.3)]
    assert say("X", past, concepts, ("small", "large")) == (
        "X scores as bags (70%) and shoes (30%), most of all for small rather than large. "
        "It is carried by A (+0.50), B (+0.25); D (-0.25) is against it."
    )


def test_a_sentence_says_so_if_nothing_or_only_the_contrary_can_be_said():
    assert say("X", [("A", 0.0)], [("bags", 1.0)]) == (
        "X scores as bags (100%). It would score the same without any one of the past items."
    )
    assert say("X", [("A", -1.0)]) == "A (-1.00) is against X."
    even = [(name, 1 / 7) for name in "abcdefg"]
    assert say("X", [("A", 1.0)], even).startswith("X scores as a (14%). It is carried")
