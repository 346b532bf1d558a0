"""Another model takes its place whole, or not at all."""

import shutil

import pytest

import macrid
from macrid.errors import ArtifactError
from macrid.service.holder import Holder


@pytest.fixture
def place(folder, tmp_path):
    """A copy that may be changed."""
    return shutil.copytree(folder, tmp_path / "model")


def test_a_new_model_is_taken_and_the_old_one_stays_with_who_began_with_it(place):
    holder = Holder(place)
    before = holder.current
    assert holder.reload() is False
    other = macrid.load(place)
    other.name_concept(0, "sacks")
    other.save(place)
    assert holder.reload() is True
    assert holder.current.concepts()["concepts"][0]["name"] == "sacks"
    assert before.concepts()["concepts"][0]["name"] == "bags"


@pytest.mark.parametrize(
    "name", ["model.safetensors", "items.parquet", "config.json", "names.json"]
)
def test_a_damaged_folder_is_refused_and_the_old_model_keeps_serving(place, name):
    holder = Holder(place)
    before = holder.current
    content = (place / name).read_bytes()
    (place / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(ArtifactError):
        holder.reload()
    assert holder.current is before
    shutil.rmtree(place)
    with pytest.raises(ArtifactError, match="there is no model folder"):
        holder.reload()
    assert holder.current is before


def test_there_is_no_service_without_a_model(tmp_path):
    with pytest.raises(ArtifactError, match="there is no model folder"):
        Holder(tmp_path / "none")


def test_a_folder_that_is_written_all_the_time_is_not_half_read(place, monkeypatch):
    holder, numbers = Holder(place), iter(range(100))
    monkeypatch.setattr("macrid.service.holder._digest", lambda folder: str(next(numbers)))
    with pytest.raises(ArtifactError, match="is being written all the time"):
        holder.reload()
