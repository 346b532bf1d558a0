"""Models by name."""

import pytest

from macrid.errors import SettingsError
from macrid.models.catalog import MODELS, model_class

NAMES = ["macridvae", "multvae", "multdae", "vamp", "hvamp", "recvae", "ease", "popularity"]
KNOWN = f"known: {', '.join(NAMES)}"


def test_every_model_is_found_under_its_own_name():
    assert list(MODELS) == NAMES
    for name in MODELS:
        assert model_class(name).name == name


@pytest.mark.parametrize(
    ("given", "near"), [("macridvea", "macridvae"), ("popular", "popularity"), ("eas", "ease")]
)
def test_a_misspelt_model_is_answered_with_the_nearest_and_all(given, near):
    words = f"no model '{given}'; did you mean '{near}'.*{KNOWN}"
    with pytest.raises(SettingsError, match=words):
        model_class(given)


def test_a_name_like_no_other_is_answered_with_all():
    with pytest.raises(SettingsError, match=f"no model 'zzz'; {KNOWN}"):
        model_class("zzz")
