"""The map is true: the README lists every module, the public names exist, files stay readable."""

import importlib.metadata
import re
from pathlib import Path

import pytest

import macrid

ROOT = Path(__file__).resolve().parent.parent
MODULES = sorted(p for p in (ROOT / "src" / "macrid").rglob("*.py"))


def test_the_readme_lists_every_module():
    tree = (ROOT / "README.md").read_text().split("```text")[1].split("```")[0]
    listed, folder = set(), ""
    for line in tree.strip().splitlines()[1:]:
        name = line.split()[0]
        indent = len(line) - len(line.lstrip())
        folder = name if name.endswith("/") else (folder if indent > 2 else "")
        if not name.endswith("/"):
            listed.add(folder + name)
    root = ROOT / "src" / "macrid"
    real = {
        str(path.relative_to(root))
        for path in MODULES
        if path.name != "__init__.py" or path.parent == root
    }
    assert listed == real


def test_no_module_is_too_long_to_read():
    long = {p.name: n for p in MODULES if (n := len(p.read_text().splitlines())) > 400}
    assert not long


def test_every_module_says_what_question_it_answers():
    modules = [path for path in MODULES if path.name != "__init__.py"]
    assert not [p for p in modules if not p.read_text().startswith(('"""', 'r"""'))]


def test_public_names_are_sorted_exist_and_are_the_ones_on_offer():
    assert macrid.__all__ == sorted(macrid.__all__, key=lambda name: (not name.isupper(), name))
    assert all(getattr(macrid, name).__name__ for name in macrid.__all__)
    source = (ROOT / "src" / "macrid" / "__init__.py").read_text()
    hinted = re.findall(r"import (.+)", source.split("TYPE_CHECKING:")[1].split("__version__")[0])
    names = {part.split(" as ")[-1].strip() for line in hinted for part in line.split(",")}
    assert names == set(macrid.__all__)


def test_a_name_that_does_not_exist_is_refused_in_words():
    with pytest.raises(AttributeError, match="MacridVAE"):
        macrid.MacridVAF  # noqa: B018


def test_the_version_is_that_of_the_package():
    assert importlib.metadata.version("macrid") == macrid.__version__
