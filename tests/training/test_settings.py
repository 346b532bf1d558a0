"""Settings: what is read, what is refused, in which words."""

import pytest
from pydantic import ValidationError

from macrid.errors import SettingsError
from macrid.training.settings import RECIPES, TrainingSettings, no_options


def test_defaults_are_the_authors_but_for_the_epochs():
    settings = TrainingSettings()
    assert (settings.batch_size, settings.learning_rate, settings.seed) == (500, 1e-3, 98765)
    assert (settings.epochs, settings.patience, settings.precision) == (200, None, "32")


def test_the_faithful_recipe_is_the_default_and_has_no_novelties():
    settings = TrainingSettings()
    assert settings == TrainingSettings(recipe="faithful")
    assert (settings.schedule, settings.average, settings.start) == ("constant", 0.0, "random")


def test_a_recipe_fills_in_what_was_not_given_and_nothing_else():
    fast = TrainingSettings(recipe="fast")
    assert fast.model_dump() == TrainingSettings().model_dump() | RECIPES["fast"] | {
        "recipe": "fast"
    }
    given = {"epochs": 7, "average": 0.0, "precision": "32", "seed": 1}
    mine = TrainingSettings.of({"recipe": "fast", **given})
    assert mine.model_dump() == fast.model_dump() | given


def test_a_recipe_written_out_is_the_recipe():
    fast = TrainingSettings(recipe="fast")
    assert TrainingSettings.of(fast.model_dump()) == fast
    assert TrainingSettings(**RECIPES["fast"]).same_run() == fast.same_run()


def test_text_is_read_as_the_fields_type():
    settings = TrainingSettings.of({"epochs": "3", "learning_rate": "1e-4", "device": "cpu"})
    assert (settings.epochs, settings.learning_rate, settings.device) == (3, 1e-4, "cpu")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"learning_rat": 1}, "no setting 'learning_rat'; did you mean 'learning_rate'"),
        ({"zzz": 1}, "there is no setting 'zzz'; known: recipe, epochs, batch_size"),
        ({"epochs": 0}, "epochs is 0, but should be .* 1; most passes over the training users"),
        ({"batch_size": 2.5}, "batch_size is 2.5, but should be a valid integer"),
        ({"learning_rate": -1}, "learning_rate is -1, but should be greater than 0"),
        ({"learning_rate": "inf"}, "learning_rate is 'inf', but should be a finite number"),
        ({"precision": "16"}, "precision is '16', but should be '32' or 'bf16'"),
        ({"seed": 2**32}, "seed is 4294967296, but should be less than 4294967296"),
        ({"patience": 0}, "patience is 0"),
        ({"threads": 0}, "threads is 0"),
        ({"device": "tpu"}, "device is 'tpu'"),
        ({"recipe": "slow"}, "recipe is 'slow', but should be 'faithful' or 'fast'"),
        ({"recipe": ["fast"]}, r"recipe is \['fast'\], but should be"),
        ({"schedule": "linear"}, "schedule is 'linear', but should be 'constant' or 'cosine'"),
        ({"average": 1}, "average is 1, but should be less than 1; decay per step"),
        ({"start": "zero"}, "start is 'zero', but should be 'random' or 'spectrum'"),
        ({"epochs": 0, "seed": -1}, "epochs is 0.*; seed is -1"),
    ],
)
def test_a_wrong_setting_is_a_sentence(values, words):
    with pytest.raises(SettingsError, match=words):
        TrainingSettings.of(values)


def test_settings_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        TrainingSettings().epochs = 3  # pyright: ignore[reportAttributeAccessIssue]


def test_what_may_change_when_a_run_is_resumed_does_not_make_it_another_run():
    free = TrainingSettings(epochs=3, patience=2, device="cpu", threads=1)
    assert free.same_run() == TrainingSettings().same_run()
    for changed in ({"seed": 1}, {"batch_size": 7}, {"learning_rate": 0.1}, {"precision": "bf16"}):
        assert TrainingSettings.of(changed).same_run() != TrainingSettings().same_run()


def test_more_epochs_make_another_run_where_the_rate_falls_by_them():
    short, long = (TrainingSettings(schedule="cosine", epochs=epochs) for epochs in (3, 4))
    assert short.same_run() != long.same_run()


def test_options_of_a_closed_form_are_refused():
    no_options("ease", {})
    with pytest.raises(SettingsError, match="ease is not trained in epochs and takes no epochs"):
        no_options("ease", {"epochs": 3})
