"""The benchmark's own arithmetic and its report; nothing is timed here."""

import argparse
import doctest
import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def beside_the_scripts(monkeypatch):
    """Scripts import each other by name, as they do when they are run."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(ROOT / "benchmarks")):
            del sys.modules[name]


@pytest.mark.parametrize("name", ["derive", "growth", "roofline", "targets"])
def test_examples_in_docstrings_hold(name):
    found = doctest.testmod(importlib.import_module(name))
    assert found.attempted
    assert not found.failed


def machine():
    roofline = importlib.import_module("roofline")
    rates = roofline.Products(logits=10.0, people=20.0, items=20.0, square=40.0)
    return roofline.Machine({"32": rates}, 10.0, 5.0, 100.0, 200.0, 1)


def test_the_least_time_of_a_step_is_the_sum_of_its_terms():
    roofline = importlib.import_module("roofline")
    # Products 2·600·(1/10 + 1/20 + 1/20), exponentials 120/10, the bag's flops 6·40·3·5/40 (more
    # than its traffic, 12·40·5/200), Adam 28·1000/200.
    size = {"users": 2, "concepts": 3, "dims": 5, "items": 20, "events": 40, "parameters": 1000}
    found = roofline.least_step_seconds(machine(), **size)
    assert found == pytest.approx(240 + 12 + 90 + 140)


def test_the_encoder_is_bound_by_memory_where_that_takes_longer():
    roofline = importlib.import_module("roofline")
    size = {"users": 0, "concepts": 0, "dims": 5, "items": 20, "parameters": 0}
    found = roofline.least_step_seconds(machine(), **size, events=40)
    assert found == pytest.approx(12 * 40 * 5 / 200)


def test_one_hot_assignments_need_a_kth_of_the_decoder_and_mode_no_exponential():
    roofline = importlib.import_module("roofline")
    size = {"users": 2, "concepts": 3, "dims": 5, "items": 20}
    step = {**size, "events": 0, "parameters": 0}
    soft = roofline.least_step_seconds(machine(), **step)
    assert roofline.least_step_seconds(machine(), **step, one_hot=True) == pytest.approx(soft / 3)
    assert roofline.least_scoring_seconds(machine(), **size, mode=True) == pytest.approx(40)


def test_the_best_of_several_rooflines_is_taken_rate_by_rate():
    from dataclasses import asdict, replace

    derive, one = importlib.import_module("derive"), machine()
    products = {"32": replace(one.products["32"], logits=99.0, people=1.0)}
    other = replace(one, products=products, copy=1.0, triad=999.0)
    best = derive.best_machine([asdict(one), {"problem": "busy"}, asdict(other)])
    assert (best.products["32"].logits, best.products["32"].people) == (99.0, 20.0)
    assert (best.copy, best.triad) == (100.0, 999.0)
    assert derive.best_machine([{"problem": "busy"}]) is None


def test_ratios_are_of_pairs_from_the_same_round():
    derive = importlib.import_module("derive")
    theirs = [{"seconds": [4.0]}, {"problem": "stopped"}, {"seconds": [90.0]}]
    ours = [{"seconds": [2.0]}, {"seconds": [1.0]}, {"seconds": [10.0]}]
    assert derive.ratio(theirs, ours, derive.seconds) == 5.5  # of 2 and 9
    assert derive.ratio([], ours, derive.seconds) is None


def test_the_clock_times_the_first_optimiser_and_ends_the_loop():
    child = importlib.import_module("child")
    weights = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
    steppers = [torch.optim.SGD([weight], lr=1.0) for weight in weights]
    turns = []

    def train():
        while True:
            turns.append(0)
            for stepper in steppers:
                stepper.step()

    assert len(child.timed_steps(train, warmup=2, steps=3)) == 3
    assert len(turns) == 5
    steppers[0].step()  # no clock is left that would raise


def test_a_loop_that_ends_early_gives_the_steps_it_had():
    child = importlib.import_module("child")
    stepper = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    found = child.timed_steps(lambda: [stepper.step() for _ in range(3)], warmup=1, steps=9)
    assert len(found) == 2


def test_the_peak_is_of_this_process_and_in_bytes():
    assert 10e6 < importlib.import_module("child").peak_bytes() < 1e12


def test_who_could_not_be_measured_is_named_with_the_reason():
    report = importlib.import_module("report")
    run = {"seconds": [0.5, 0.7, 0.6], "peak_bytes": 2e9}
    runs = {"macrid": [run], "RecBole MacridVAE": [{"problem": "no wheel for this machine"}]}
    note = {"seconds": 1.0, "found": {"gowalla": runs}, **report.circumstances(2)}
    text = report.render({"step": note}, "")
    assert "| macrid | 0.600 |  |  | 2.00 | 1 |" in text
    assert "* RecBole MacridVAE: no wheel for this machine" in text
    assert "| gowalla: a step against RecBole's, float32 | ≥ 6× | not measured |  |" in text


def test_targets_say_by_how_much_they_are_missed():
    module = importlib.import_module("targets")
    runs = {
        "macrid": [{"seconds": [1.0], "peak_bytes": 9e8}],
        "RecBole MacridVAE": [{"seconds": [4.5], "peak_bytes": 3e9}],
    }
    found = {row.what: row for row in module.targets({"step": {"found": {"gowalla": runs}}}, None)}
    step = found["gowalla: a step against RecBole's, float32"]
    assert (step.found, step.verdict()) == (4.5, "missed by 25%")
    assert found["gowalla: peak memory over RecBole's"].verdict() == "reached"


def test_toy_sizes_reach_no_target_and_are_named_as_toys():
    report, module = importlib.import_module("report"), importlib.import_module("targets")
    reading = [{"format": "parquet", "events": 100_000, "seconds": 0.1}]
    lists = {"recommend": {"users_per_second": 9.0, "users": 9, "items": 10_000, "peak_bytes": 1}}
    parts = {"reading": {"runs": reading}, "million": lists}
    kept = {part: {"found": found} for part, found in parts.items()}
    assert all(target.found is None for target in module.targets(kept, None))
    note = {"seconds": 1.0, "toy": True, "found": lists, **report.circumstances(2)}
    assert "Toy sizes" in report.render({"million": note}, "")


def test_memory_grows_beyond_what_the_process_had_before():
    growth = importlib.import_module("growth")
    assert growth.memory({"peak_bytes": 3e9, "before_bytes": 5e8}) == 2.5


def test_a_process_that_fails_is_a_sentence_and_not_a_crash():
    contenders = importlib.import_module("contenders")
    with contenders.bench(threads=1) as place:
        found = place.run("step.py", "--who", "nobody")
    assert found["problem"].startswith("stopped with status 2: ")
    assert "nobody" in found["problem"]


def test_a_process_that_takes_too_long_is_ended():
    contenders = importlib.import_module("contenders")
    with contenders.bench(threads=1, timeout=0.01) as place:
        assert "not done after" in place.run("step.py", "--help")["problem"]


def test_a_file_is_replaced_whole(tmp_path):
    report = importlib.import_module("report")
    for text in ("old", "new"):
        report.write(tmp_path / "results.md", text)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["new"]


def test_more_than_the_roofline_is_in_doubt():
    module = importlib.import_module("targets")
    assert module.Target("a step", 50, 90.0, "%").verdict() == "reached"
    assert module.Target("a step", 50, 197.0, "%").verdict().startswith("in doubt")


def test_without_any_measurement_the_report_says_so():
    assert "Nothing was measured yet." in importlib.import_module("report").render({}, "")


def test_a_drawn_catalogue_covers_rare_items_and_holds_each_pair_once():
    drawn = importlib.import_module("sources").zipf(1_000, 50, 30)
    assert drawn.is_unique().all()
    assert drawn["item_id"].n_unique() == 50
    counts = drawn["item_id"].value_counts(sort=True)["count"]
    assert counts[0] > 3 * counts[-1]


def test_peers_and_macrid_have_the_same_torch():
    pins = [
        next(line for line in path.read_text().splitlines() if line.startswith("torch=="))
        for path in (ROOT / "constraints.txt", ROOT / "benchmarks" / "peers.txt")
    ]
    assert pins[0] == pins[1]


def test_a_dimension_is_judged_on_items_that_did_not_choose_it():
    concepts = importlib.import_module("concepts")
    random = np.random.default_rng(0)
    vectors = random.normal(size=(400, 6))
    known = -vectors[:, 2] + 0.1 * random.normal(size=400)
    axis, agreements = concepts.judged(vectors, known)
    assert axis == (2, -1.0)
    assert min(agreements.values()) > 0.9
    many = random.normal(size=(400, 200))  # one of these goes with anything, by chance
    _, agreements = concepts.judged(many, known)
    assert abs(agreements["dimension"]) < 0.2


def test_what_was_measured_is_kept_and_not_measured_again(tmp_path):
    concepts = importlib.import_module("concepts")
    given = argparse.Namespace(raw=tmp_path / "raw", out=tmp_path / "page.md")
    world = {"world": "A shop", "dials": []}
    for seed, nmi in ((0, 0.5), (0, 0.1), (1, 0.75)):
        found = {"seed": seed, "prototypes": "learned", "NMI": nmi}
        concepts.keep(given, f"shop {seed}", lambda found=found: {**world, "found": found})
    lines = given.out.read_text().splitlines()
    assert [line for line in lines if line.startswith("| ")][2:4] == [
        "| 0 | learned | 0.500 |",
        "| 1 | learned | 0.750 |",
    ]
    assert lines[-1] == "| learned | 2 | 0.625 |"
