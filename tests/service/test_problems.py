import pytest

from macrid import errors
from macrid.service.problems import Busy, Refused, answer_to, sentence, status_of
from macrid.service.storage.errors import KeyReused, StoreError


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.UnknownItem("x"), 404),
        (errors.ControlError("x"), 422),
        (errors.SettingsError("x"), 422),
        (errors.DataError("x"), 422),
        (ValueError("x"), 422),
        (errors.ArtifactError("x"), 409),
        (errors.TooLarge("x", needed=2, available=1), 413),
        (errors.MissingExtra("faiss", "ann"), 501),
        (StoreError("x"), 503),
        (KeyReused("x"), 422),
        (Busy("x"), 503),
        (Refused(418, "x"), 418),
        (KeyError("x"), 500),
    ],
)
def test_each_class_of_error_has_its_status(error, status):
    assert status_of(error) == status
    answer = answer_to(error)
    assert answer.status_code == status
    assert answer.media_type == "application/problem+json"


def test_many_findings_are_told_in_part():
    findings = [
        {
            "loc": ("body", "history", n, "int"),
            "msg": "wrong",
            "type": "int_type",
            "input": "y" * 99,
        }
        for n in range(9)
    ]
    said = sentence(findings)
    assert said.startswith(f"history[0] is '{'y' * 79}…, but wrong; history[1]")
    assert said.endswith("; and 4 more")
