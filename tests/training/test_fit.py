"""The training loop: what it keeps, logs, shows and leaves alone, and how it stops."""

import contextlib
import csv
import logging
import math
import os
import pty
import re
import signal
import sys
import threading
import time
import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.optimizer import register_optimizer_step_post_hook

import planted
from macrid.errors import DataError, SettingsError, TrainingDiverged
from macrid.models.macridvae import MacridVAE, MacridVAESettings, macrid_vae
from macrid.training.fit import Objective, fit_network
from macrid.training.objective import ByEpoch, Elbo, squared_weights
from macrid.training.settings import TrainingSettings
from reference.metrics import ndcg_at

OPTIONS = {"batch_size": 40, "learning_rate": 0.03, "seed": 4}
COLUMNS = ["epoch", "loss", "log_likelihood", "kl", "beta", "ndcg@100", "seconds"]


def fit(*, model=None, validation=True, **options):
    """A tiny model of the planted world."""
    split = planted.split()
    model = MacridVAE(n_dims=4, n_concepts=2, **(model or {}))
    return model.fit(split.train, split.validation if validation else None, **OPTIONS | options)


def weights(model):
    return torch.cat([tensor.flatten() for tensor in model.tensors().values()])


def log_of(folder):
    with (folder / "log.csv").open() as file:
        return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]


def network_of(seed=0):
    torch.manual_seed(seed)
    return macrid_vae(planted.split().train.n_items, MacridVAESettings(n_dims=4, n_concepts=2))


def train(network, objective=None, validation=None, **settings):
    settings = TrainingSettings(**OPTIONS | settings)
    people = planted.split().train
    return fit_network(network, people, validation, objective or Objective(0.2), settings)


class ReportsLengths(nn.Module):
    """Says that a person's log-likelihood is minus their number of items and their KL is 2."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, histories):
        zero = 0 * self.weight
        lengths = histories.lengths.float()
        return Elbo(zero - lengths, zero + torch.full_like(lengths, 2.0))


# Seeds


def test_the_same_seed_gives_the_same_weights_to_the_bit():
    assert torch.equal(weights(fit(epochs=2)), weights(fit(epochs=2)))


def test_another_seed_gives_other_weights():
    assert not torch.equal(weights(fit(epochs=1)), weights(fit(epochs=1, seed=5)))


def test_the_state_of_the_callers_generators_does_not_matter_and_is_left_alone():
    torch.manual_seed(1)
    first = weights(fit(epochs=1))
    torch.manual_seed(2)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    assert torch.equal(weights(fit(epochs=1)), first)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()  # noqa: NPY002


def test_watching_validation_users_does_not_change_the_weights():
    assert torch.equal(weights(fit(epochs=1)), weights(fit(epochs=1, validation=False)))


# What is kept


def test_the_best_epoch_is_kept_and_its_ndcg_is_the_logged_one(tmp_path):
    model = fit(epochs=12, learning_rate=0.1, folder=tmp_path)
    log = log_of(tmp_path)
    best = max(log, key=lambda row: row["ndcg@100"])
    assert model.training["best_epoch"] == best["epoch"] < len(log) == 12
    assert torch.equal(weights(model), weights(fit(epochs=int(best["epoch"]), learning_rate=0.1)))

    people = planted.split().validation
    fold_in, held_out = (
        np.split(table.columns, table.offsets[1:-1]) for table in (people.fold_in, people.held_out)
    )
    scores = model.scores(people.fold_in.histories()).tolist()
    ndcg = np.mean(ndcg_at(100, scores, fold_in, held_out))
    assert ndcg == pytest.approx(best["ndcg@100"], abs=1e-6)


def test_without_validation_the_last_epoch_is_kept(tmp_path):
    model = fit(epochs=3, validation=False, patience=1, folder=tmp_path)
    assert model.training["best_epoch"] == model.training["epochs_run"] == 3
    assert list(log_of(tmp_path)[0]) == [name for name in COLUMNS if name != "ndcg@100"]


def test_patience_stops_so_many_epochs_after_the_best(tmp_path):
    model = fit(epochs=60, learning_rate=0.1, patience=2, folder=tmp_path)
    log = log_of(tmp_path)
    assert model.training["epochs_run"] == len(log) == model.training["best_epoch"] + 2 < 60
    assert max(log, key=lambda row: row["ndcg@100"])["epoch"] == model.training["best_epoch"]


def test_patience_is_not_counted_before_its_first_epoch(tmp_path):
    model = fit(epochs=60, learning_rate=0.1, patience=2, patience_from=15, folder=tmp_path)
    assert model.training["best_epoch"] < 15
    assert model.training["epochs_run"] == 17


def test_a_watcher_sees_the_log_and_may_end_the_training(tmp_path):
    class EnoughError(Exception):
        pass

    seen = []

    def watch(row):
        seen.append(dict(row))
        if len(seen) == 3:
            raise EnoughError

    with pytest.raises(EnoughError):
        fit(epochs=9, watch=watch, folder=tmp_path)
    assert seen == log_of(tmp_path)


def test_a_fitted_network_is_in_test_mode():
    network = network_of()
    train(network, epochs=1)
    assert not network.training


# The fast recipe's parts


def test_the_average_is_what_is_measured_and_kept(tmp_path):
    """By hand: the weights after each step of a run, averaged; their best epoch is the model's."""
    options = {"epochs": 3, "average": 0.9, "folder": tmp_path}
    seen = []

    class Watch(torch.optim.Adam):
        def step(self, closure=None):
            value = super().step(closure)
            seen.append([weight.detach().clone() for weight in self.param_groups[0]["params"]])
            return value

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim, "Adam", Watch)
        model = fit(**options)
    mean = seen[0]
    epochs = [mean]
    for number, weights_now in enumerate(seen[1:], start=2):
        mean = [0.9 * old + 0.1 * new for old, new in zip(mean, weights_now, strict=True)]
        epochs += [mean] if number % 4 == 0 else []
    best = epochs[model.training["best_epoch"]]
    torch.testing.assert_close(weights(model), torch.cat([weight.flatten() for weight in best]))

    people = planted.split().validation
    fold_in, held_out = (
        np.split(table.columns, table.offsets[1:-1]) for table in (people.fold_in, people.held_out)
    )
    scores = model.scores(people.fold_in.histories()).tolist()
    ndcg = np.mean(ndcg_at(100, scores, fold_in, held_out))
    assert ndcg == pytest.approx(max(row["ndcg@100"] for row in log_of(tmp_path)), abs=1e-6)


def test_an_average_does_not_change_the_weights_that_are_trained(tmp_path):
    for decay in (0.0, 0.9):
        fit(epochs=3, average=decay, folder=tmp_path / str(decay))
    free, averaged = (log_of(tmp_path / str(decay)) for decay in (0.0, 0.9))
    assert [row["loss"] for row in free] == [row["loss"] for row in averaged]
    assert [row["ndcg@100"] for row in free] != [row["ndcg@100"] for row in averaged]


def test_a_falling_rate_ends_at_rest(tmp_path):
    network = network_of()
    train(network, epochs=1, schedule="cosine")
    constant = network_of()
    train(constant, epochs=1)
    moved, moved_more = (
        sum((a - b).norm() for a, b in zip(n.parameters(), network_of().parameters(), strict=True))
        for n in (network, constant)
    )
    assert 0 < moved < moved_more


def test_the_faithful_recipe_is_no_recipe_to_the_bit():
    assert torch.equal(weights(fit(epochs=2)), weights(fit(epochs=2, recipe="faithful")))


def test_an_average_with_a_sampled_softmax_is_refused_and_the_recipe_goes_without_it():
    sampled = {"softmax": "sampled:5"}
    with pytest.raises(SettingsError, match="set average to 0"):
        fit(model=sampled, recipe="fast", epochs=1, average=0.5)
    assert fit(model=sampled, recipe="fast", epochs=1).training["average"] == 0


def test_the_recipes_average_is_no_longer_than_a_short_run():
    """Of ten steps the mean is over five and a half; an average asked for is left as it is."""
    few = {"average": 0.995, "epochs": 10, "batch_size": 1000, "start": "random"}
    few |= {"learning_rate": 1e-3, "schedule": "constant", "precision": "32"}
    capped = weights(fit(recipe="fast", **few))
    assert torch.equal(capped, weights(fit(**few | {"average": 1 - 9 / 50})))
    assert not torch.equal(capped, weights(fit(**few)))


# The log


def test_the_log_has_a_row_per_epoch(tmp_path):
    fit(epochs=3, folder=tmp_path)
    log = log_of(tmp_path)
    assert list(log[0]) == COLUMNS
    assert [row["epoch"] for row in log] == [1, 2, 3]
    assert all(row["seconds"] > 0 and 0 <= row["ndcg@100"] <= 1 for row in log)


def test_logged_means_are_over_users_however_they_fall_into_batches():
    """160 people in batches of 150: a mean over batches would count the last ten 15 times over."""
    people = planted.split().train
    done = train(ReportsLengths(), Objective(0.0), epochs=1, batch_size=150)
    assert done.log[0]["log_likelihood"] == pytest.approx(-len(people) / people.n_users)
    assert done.log[0]["kl"] == 2
    assert done.log[0]["loss"] == pytest.approx(len(people) / people.n_users)


def test_beta_rises_over_five_epochs_per_unit_and_past_one():
    done = train(ReportsLengths(), Objective(1.3), epochs=9, batch_size=1000)
    betas = [row["beta"] for row in done.log]
    assert betas == pytest.approx([0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.3, 1.3])
    for row in done.log:
        assert row["loss"] == pytest.approx(row["beta"] * row["kl"] - row["log_likelihood"])


def test_beta_is_annealed_by_the_step_within_an_epoch():
    """The last of 4 batches of the first epoch is step 3 of a warm-up of 20."""
    assert train(ReportsLengths(), Objective(1.0), epochs=1).log[0]["beta"] == pytest.approx(3 / 20)


def test_a_divergence_per_event_counts_once_for_each_event_of_a_person():
    people = planted.split().train
    objective = Objective(1.0, annealing=ByEpoch(1), per_event=True)
    row = train(ReportsLengths(), objective, epochs=1, batch_size=1000).log[0]
    assert row["kl"] == 2
    assert row["loss"] == pytest.approx(3 * len(people) / people.n_users)


def test_with_evenness_people_count_by_a_power_of_their_number_of_events():
    lengths = torch.from_numpy(np.diff(planted.split().train.offsets)).double()
    for evenness in (0.0, 0.5, 1.0):
        power = lengths.pow(-evenness)
        row = train(
            ReportsLengths(),
            Objective(1.0, annealing=ByEpoch(1)),
            epochs=1,
            batch_size=37,
            evenness=evenness,
        ).log[0]
        assert row["kl"] == pytest.approx(2)  # the weights are 1 in the mean
        expected = (power * (lengths + 2)).mean() / power.mean()
        assert row["loss"] == pytest.approx(expected.item())


def test_evenness_is_another_run(tmp_path):
    fit(epochs=1, folder=tmp_path)
    with pytest.raises(DataError, match="evenness"):
        fit(epochs=2, folder=tmp_path, resume=True, evenness=0.5)


def test_unit_gradients_have_length_one_when_a_step_is_made_of_them():
    people = planted.split().train
    seen = {}

    def lengths_of(gradients):
        def note(optimiser, args, kwargs):
            grads = [w.grad for group in optimiser.param_groups for w in group["params"]]
            seen[gradients] = [g.norm().item() for g in grads if g is not None]

        return note

    for gradients in ("plain", "unit"):
        handle = register_optimizer_step_post_hook(lengths_of(gradients))
        train(network_of(), epochs=1, batch_size=people.n_users, gradients=gradients)
        handle.remove()
    assert seen["unit"] == pytest.approx([1.0] * len(seen["unit"]), abs=1e-5)
    assert max(seen["plain"]) > 1.5


def test_the_penalty_is_in_the_loss():
    network = network_of()
    expected = 0.5 * squared_weights(network).item()
    row = train(network, Objective(0.0, l2=0.5), epochs=1, batch_size=1000).log[0]
    assert row["loss"] + row["log_likelihood"] == pytest.approx(expected, rel=1e-4)


def test_a_penalty_shrinks_the_weights():
    free, bound = fit(epochs=3), fit(epochs=3, model={"l2": 1.0})
    assert weights(bound).norm() < 0.9 * weights(free).norm()


# What can go wrong


def test_nobody_to_train_on_is_refused():
    nobody = planted.split().train.take_events(np.zeros(len(planted.split().train), bool))
    with pytest.raises(DataError, match="no events to train on"):
        fit_network(network_of(), nobody, None, Objective(0.2), TrainingSettings())


def test_a_learning_rate_out_of_this_world_is_reported_with_its_step():
    with pytest.raises(
        TrainingDiverged, match=r"loss of step 1 is not finite.*smaller learning"
    ) as e:
        fit(epochs=2, learning_rate=1e30)
    assert e.value.step == 1
    assert math.isfinite(e.value.last_loss)


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_weights_that_are_not_numbers_are_reported_at_the_first_step(value):
    network = network_of()
    nn.init.constant_(network.latent.encoder.context, value)
    with pytest.raises(TrainingDiverged) as error:
        train(network, epochs=1)
    assert error.value.step == 0
    assert math.isnan(error.value.last_loss)


def test_a_run_that_diverged_leaves_its_last_good_epoch(tmp_path):
    fit(epochs=2, folder=tmp_path)
    before = (tmp_path / "log.csv").read_bytes()
    with pytest.raises(TrainingDiverged):
        fit(epochs=3, learning_rate=1e30, folder=tmp_path / "other")
    assert (tmp_path / "log.csv").read_bytes() == before
    assert [file.name for file in (tmp_path / "other").iterdir()] == ["checkpoint.json"]


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_a_device_that_is_not_there_is_a_sentence(device):
    there = {"cuda": torch.cuda.is_available, "mps": torch.backends.mps.is_available}
    if there[device]():
        pytest.skip(f"{device} is there")
    with pytest.raises(SettingsError, match=f"device is '{device}', but torch finds none.*'cpu'"):
        fit(epochs=1, device=device)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_learns_what_the_processor_learns_and_hands_the_weights_back():
    here, there = fit(epochs=5, device="cpu"), fit(epochs=5, device="cuda")
    assert all(tensor.device.type == "cpu" for tensor in there.tensors().values())
    assert there.training["best_epoch"] >= 1
    assert weights(there).norm().item() == pytest.approx(weights(here).norm().item(), rel=0.1)


@pytest.fixture
def handler():
    """Python's own answer to Ctrl-C; shells make processes in their background ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield signal.default_int_handler
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_is_a_keyboard_interrupt_and_the_run_can_be_resumed(tmp_path, handler):

    def interrupt_after_two_epochs():
        while not (tmp_path / "log.csv").is_file() or len(log_of(tmp_path)) < 2:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    watcher = threading.Thread(target=interrupt_after_two_epochs)
    watcher.start()
    with pytest.raises(KeyboardInterrupt):
        fit(epochs=2_000, folder=tmp_path)
    watcher.join()
    assert signal.getsignal(signal.SIGINT) is handler

    epochs = len(log_of(tmp_path)) + 1
    resumed = fit(epochs=epochs, folder=tmp_path, resume=True)
    assert torch.equal(weights(resumed), weights(fit(epochs=epochs)))


# Options


def test_bf16_learns_nearly_what_single_precision_learns(tmp_path):
    for precision in ("32", "bf16"):
        fit(epochs=4, precision=precision, folder=tmp_path / precision)
    exact, rough = (log_of(tmp_path / precision)[-1] for precision in ("32", "bf16"))
    assert rough["loss"] != exact["loss"]
    assert rough["loss"] == pytest.approx(exact["loss"], rel=0.02)


class CountsThreads(ReportsLengths):
    """Remembers how many threads torch had."""

    def forward(self, histories):
        self.threads = torch.get_num_threads()
        return super().forward(histories)


@pytest.mark.parametrize("threads", [1, 2, None])
def test_threads_are_used_in_training_and_given_back_after_it(threads):
    before, network = torch.get_num_threads(), CountsThreads()
    train(network, epochs=1, threads=threads)
    assert network.threads == (threads or before)
    assert torch.get_num_threads() == before


# What is shown


def test_nothing_is_printed_and_no_file_is_made_unless_asked(capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fit(epochs=2)
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")
    assert list(tmp_path.iterdir()) == []


def test_a_line_per_epoch_shows_the_row_of_the_log_on_stderr(capfd, tmp_path):
    fit(epochs=2, progress=True, folder=tmp_path)
    captured = capfd.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert len(lines) == 2
    for number, (line, row) in enumerate(zip(lines, log_of(tmp_path), strict=True), start=1):
        assert line.startswith(f"epoch {number}/2  loss ")
        shown = dict(re.findall(r"(\S+) ([\d.e+-]+)(?:  |$)", line.partition("  ")[2]))
        assert list(shown) == COLUMNS[1:]
        for name, value in shown.items():
            assert float(value) == pytest.approx(row[name], rel=1e-3, abs=1e-4), name


@contextlib.contextmanager
def terminal(monkeypatch):
    """Stderr as a terminal; yields the list of what was written to it."""
    ours, theirs = pty.openpty()
    written = []

    def read():
        with contextlib.suppress(OSError):  # EIO: the other end was closed
            while data := os.read(ours, 65536):
                written.append(data.decode())

    reader = threading.Thread(target=read)
    reader.start()
    with monkeypatch.context() as patch, os.fdopen(theirs, "w") as stream:
        patch.setattr(sys, "stderr", stream)
        patch.setenv("TERM", "xterm")
        patch.setenv("COLUMNS", "80")
        yield written
    reader.join()
    os.close(ours)


def test_a_terminal_gets_a_bar_with_loss_kl_beta_and_ndcg_which_goes_away(monkeypatch, capfd):
    with terminal(monkeypatch) as written:
        fit(epochs=3, progress=True)
    assert capfd.readouterr() == ("", "")
    text = re.sub(r"\x1b\[[\d;]*m", "", "".join(written))
    number = r"[\d.]+"
    last = rf"epoch 3/3 ━+ 4/4 loss {number}  kl {number}  beta 0.2  ndcg@100 0.\d+"
    assert re.search(last, text), text[-300:]
    assert text.rstrip().endswith("\x1b[2K")  # the line is erased
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h")  # the cursor is back


def test_a_bar_leaves_the_terminal_in_order_when_training_fails(monkeypatch):
    with terminal(monkeypatch) as written, pytest.raises(TrainingDiverged):
        fit(epochs=2, learning_rate=1e30, progress=True)
    text = "".join(written)
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1


def test_lightnings_log_level_and_the_warning_filters_are_given_back():
    log = logging.getLogger("lightning.pytorch")
    before = log.level, list(warnings.filters)
    with pytest.raises(TrainingDiverged):
        fit(epochs=2, learning_rate=1e30)
    assert (log.level, warnings.filters) == before
