"""Models by name."""

import pytest

from macrid.errors import SettingsError
from macrid.models.catalog import MODELS, model_class


def test_every_model_is_found_under_its_own_name():
    assert list(MODELS) == ["macridvae", "ease", "popularity"]
    for name in MODELS:
        assert model_class(name).name == name


@pytest.mark.parametrize(
    ("given", "near"), [("macridvea", "macridvae"), ("popular", "popularity"), ("eas", "ease")]
)
def test_a_misspelt_model_is_answered_with_the_nearest_and_all(given, near):
    words = f"no model '{given}'; did you mean '{near}'.*known: macridvae, ease, popularity"
    with pytest.raises(SettingsError, match=words):
        model_class(given)


def test_a_name_like_no_other_is_answered_with_all():
    with pytest.raises(SettingsError, match="no model 'zzz'; known: macridvae, ease, popularity"):
        model_class("zzz")
