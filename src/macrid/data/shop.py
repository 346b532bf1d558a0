"""A synthetic shop whose factors are known: who wants what, and how they like it.

For demos, and for tests of disentanglement. Its seven categories, of very different sizes, stand
for the concepts that a model should find; their attributes for the dimensions within.

*Items.* A category holds a fixed share of the items, from dresses (0.32) to watches (0.04). An
item's ``popularity`` is log-normal (sigma 1.5), scaled so that a category's sum is its share. The
attributes that a category has are uniform: ``size``, ``price`` and ``darkness`` are numbers in
[0, 1], where 0 is the smallest, cheapest or palest of the category; ``colour`` and ``style`` are
words of its own. Titles are spelt from these: the lower and the upper third of a number have a word
("pale", "dark"), the middle has none. A title that recurs is numbered.

*Users.* A user u has 1, 2, 3 or 4 intentions (chances 0.2, 0.4, 0.25, 0.15): distinct categories
drawn in proportion to their shares, among which the clicks divide by Dirichlet(2). Within each,
every attribute a of the category has a preferred value p_ua, uniform, and a strength s_ua, Gamma
with shape 4; its mean is 5, 9 or 12 for a number, by category, 1.5 for colours and 2 for styles.

*Clicks.* A user's number of clicks is log-normal (sigma 0.8, mean 40) clipped to 8 … 300, and then
multinomial over the intentions: at least one click each, at most half of the category's items.
Within an intention c, items are clicked one after the other, none twice, each time with chances

    P(i | u, c) ∝ popularity_i · exp(Σ_words s_ua [v_ia = p_ua] - Σ_numbers s_ua (v_ia - p_ua)²)

where v_ia is item i's value. For every 16 clicks there is one stray, drawn by popularity from the
whole shop and kept if it falls outside the intentions: about 3 clicks in 100 are such noise. A
user's clicks come in random order, seconds apart that are log-normal (median 3000, sigma 1.5).
"""

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy import ndarray
from numpy.random import Generator

from macrid.errors import DataError


@dataclass(frozen=True)
class _Category:
    """One kind of thing on sale; ``numbers`` holds how strong tastes are on average."""

    name: str
    share: float
    numbers: dict[str, int]
    colours: str
    styles: str
    sizes: str = "small large"

    @property
    def words(self) -> dict[str, list[str]]:
        return {"colour": self.colours.split(), "style": self.styles.split()}


# At strength 12 the bell around a preferred value has a standard deviation of 0.2, at 5 of 0.32.
# Black and white are left to categories without darkness: no title should say "pale black".
# fmt: off
_CATEGORIES = (
    _Category("dress", 0.32, {"size": 9, "darkness": 12}, "red blue green pink grey yellow",
              "wrap shirt evening summer knitted pleated", "short long"),
    _Category("shoes", 0.22, {"price": 12, "darkness": 5}, "brown blue red grey green",
              "running hiking leather canvas dancing"),
    _Category("bag", 0.16, {"size": 12, "price": 5, "darkness": 9}, "brown red blue green grey",
              "tote shoulder messenger travel evening"),
    _Category("headphones", 0.12, {"size": 9, "price": 12}, "black white silver blue",
              "studio sports gaming travel", "in-ear over-ear"),
    _Category("lamp", 0.08, {"size": 12}, "brass copper black white", "desk floor bedside hanging"),
    _Category("tent", 0.06, {"size": 12, "price": 9}, "green orange blue sand",
              "dome tunnel trekking beach", "one-person family"),
    _Category("watch", 0.04, {"price": 12, "darkness": 9}, "brown blue grey", "diving dress pilot"),
)
# fmt: on
_WORDS = {"colour": 1.5, "style": 2}
_ATTRIBUTES = ("size", "price", "darkness", *_WORDS)
_SHARES = np.array([category.share for category in _CATEGORIES])
_FEWEST_CLICKS, _FEWEST_ITEMS = 8, 400  # half of the smallest category is then no fewer clicks
_NEW_YEAR = 1_704_067_200  # 2024-01-01, in seconds
_BLOCK = 1 << 18  # (user, item) pairs weighed at once: a megabyte a matrix in a shop of any size
_FILES = {"interactions.parquet", "items.parquet", "users.parquet", "shop.json", "README.md"}
_Columns = dict[str, ndarray]  # of one category; words as their places in its lists


@dataclass(frozen=True)
class Shop:
    """What happened in a synthetic shop, and why.

    Args:
        events: ``user_id``, ``item_id``, ``weight`` (1: a click) and ``timestamp`` (seconds since
            1970, increasing within a user); sorted by user, no pair twice.
        items: ``item_id``, ``title``, ``category``, ``popularity`` (sums to 1), then ``size``,
            ``price``, ``darkness``, ``colour``, ``style``; null where the category has no such.
        users: One row per user and intention, a user's largest first: ``user_id``, ``category``,
            ``share`` (sums to 1 per user), then for each attribute its ``preferred_`` value and
            ``_strength`` (``preferred_size``, ``size_strength``, …); null likewise.
        seed: What it was drawn from.
    """

    events: pl.DataFrame
    items: pl.DataFrame
    users: pl.DataFrame
    seed: int

    def write(self, folder: str | Path) -> Path:
        """Put the shop into a folder, whole or not at all.

        The events become ``interactions.parquet``, the truth ``items.parquet`` and
        ``users.parquet``; ``shop.json`` holds the settings and ``README.md`` how it was drawn.

        Args:
            folder: New, empty, or holding a shop and nothing else, which is then replaced.

        Returns:
            The folder.

        Raises:
            DataError: If something else is there.

        Example:
            >>> with tempfile.TemporaryDirectory() as home:
            ...     sorted(file.name for file in open_shop(50, 400).write(home).iterdir())
            ['README.md', 'interactions.parquet', 'items.parquet', 'shop.json', 'users.parquet']
        """
        folder = Path(folder).absolute()
        found = {file.name for file in folder.iterdir()} if folder.is_dir() else set()
        if folder.is_file() or (found and ("shop.json" not in found or found - _FILES)):
            allowed = "may only be new, empty, or a shop and nothing else"
            raise DataError(f"{folder} is taken but {allowed}; name another folder")
        counts = {"n_users": self.users["user_id"].n_unique(), "n_items": self.items.height}
        settings = {"format": "macrid-shop", "version": 1, **counts, "seed": self.seed}
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as scratch:
            (new := Path(scratch) / "new").mkdir()
            self.events.write_parquet(new / "interactions.parquet")
            self.items.write_parquet(new / "items.parquet")
            self.users.write_parquet(new / "users.parquet")
            (new / "shop.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
            (new / "README.md").write_text(f"# {__doc__}\n{Shop.__doc__}", encoding="utf-8")
            if folder.exists():
                folder.rename(Path(scratch) / "old")
            new.rename(folder)
        return folder


def open_shop(n_users: int = 20_000, n_items: int = 5_000, seed: int = 0) -> Shop:
    """Draw a shop, its users and their clicks, as the module's docstring says.

    Args:
        n_users: How many people come. Memory grows with their clicks, never with users × items.
        n_items: How many items are on sale; at least 400, so that the smallest category has 16.
        seed: The same number gives the same shop, bit for bit, on the same machine.

    Returns:
        The clicks, with the truth behind them.

    Raises:
        ValueError: If an argument is below what is allowed.

    Example:
        >>> open_shop(100, 400).items["category"].value_counts(sort=True)["count"].to_list()
        [128, 88, 64, 48, 32, 24, 16]
    """
    bounds = {"n_users": (n_users, 1), "n_items": (n_items, _FEWEST_ITEMS), "seed": (seed, 0)}
    for name, (given, allowed) in bounds.items():
        if given < allowed:
            raise ValueError(f"{name} is {given} but must be at least {allowed}; raise it")
    rng = np.random.default_rng(seed)
    starts = np.rint(np.cumsum([0, *_SHARES]) * n_items).astype(int)
    shares, n_clicks = _intend(n_users, np.diff(starts), rng)  # both (user, category)
    user_ids = _number("u", n_users)
    shelves, wishes, clicks = [], [], []
    for c, category in enumerate(_CATEGORIES):
        people, n_held = np.flatnonzero(shares[:, c]), int(starts[c + 1] - starts[c])
        popularity = rng.lognormal(sigma=1.5, size=n_held)
        goods = {"popularity": popularity * category.share / popularity.sum()}
        goods |= _draw_values(category, n_held, rng)
        tastes = _draw_tastes(category, len(people), rng)
        person, item = _choose(goods, tastes, n_clicks[people, c], rng)
        clicks.append((people[person], starts[c] + item))
        shelves.append(_shelve(category, goods))
        share = {"user_id": user_ids.gather(people), "share": shares[people, c]}
        wishes.append(_frame(category, share | tastes))

    items = pl.concat(shelves, how="diagonal")
    users = pl.concat(wishes, how="diagonal").sort("user_id", "share", descending=[False, True])
    clicks.append(_stray(items["popularity"].to_numpy(), starts, shares, n_clicks, rng))
    user, item = map(np.concatenate, zip(*clicks, strict=True))
    wanted = [column for a in _ATTRIBUTES for column in (f"preferred_{a}", f"{a}_strength")]
    return Shop(
        events=_date(user, item, user_ids, items["item_id"], rng),
        items=items.select("item_id", "title", "category", "popularity", *_ATTRIBUTES),
        users=users.select("user_id", "category", "share", *wanted),
        seed=seed,
    )


def _intend(n_users: int, n_held: ndarray, rng: Generator) -> tuple[ndarray, ndarray]:
    """Each user's shares and numbers of clicks, both (user, category)."""
    n_intentions = rng.choice([1, 2, 3, 4], size=(n_users, 1), p=[0.2, 0.4, 0.25, 0.15])
    finish = rng.exponential(1 / _SHARES, size=(n_users, len(_SHARES)))  # the first to finish win
    intended = finish.argsort().argsort() < n_intentions
    shares = rng.gamma(2, size=intended.shape) * intended
    shares /= shares.sum(1, keepdims=True)
    totals = rng.lognormal(np.log(40) - 0.8**2 / 2, 0.8, n_users).clip(_FEWEST_CLICKS, 300)
    n_clicks = rng.multinomial(totals.astype(int), shares)
    return shares, np.maximum(n_clicks, intended).clip(max=n_held // 2)


def _draw_values(category: _Category, n: int, rng: Generator) -> _Columns:
    """What ``n`` things are like, or what ``n`` users wish for."""
    numbers = {a: rng.random(n, dtype=np.float32) for a in category.numbers}
    return numbers | {a: rng.integers(len(words), size=n) for a, words in category.words.items()}


def _draw_tastes(category: _Category, n: int, rng: Generator) -> _Columns:
    tastes = {f"preferred_{a}": v for a, v in _draw_values(category, n, rng).items()}
    for a, mean in (category.numbers | _WORDS).items():
        tastes[f"{a}_strength"] = rng.gamma(4, mean / 4, n).astype(np.float32)
    return tastes


def _choose(
    goods: _Columns, tastes: _Columns, n_clicks: ndarray, rng: Generator
) -> tuple[ndarray, ndarray]:
    """Who clicked what: rows of people and of goods, in blocks of people.

    Dividing exponential noise by weights and keeping the n smallest is drawing n times without
    replacement in proportion to the weights; here in logarithms.
    """
    log_popularity = np.log(goods["popularity"], dtype=np.float32)
    people, items = [], []
    n_blocks = len(n_clicks) * len(log_popularity) // _BLOCK + 1
    for block in np.array_split(np.arange(len(n_clicks)), n_blocks):
        noise = rng.standard_exponential((len(block), len(log_popularity)), dtype=np.float32)
        # Smallest first. An exact 0, whose log is infinite, does occur in single precision.
        race = np.log(noise + np.float32(1e-9)) - log_popularity
        for a in (a for a in _ATTRIBUTES if a in goods):
            value, wanted = goods[a], tastes[f"preferred_{a}"][block, None]
            # Taxing the other words is favouring the wanted one: a row shifts as a whole.
            miss = value != wanted if a in _WORDS else (value - wanted) ** 2
            race += tastes[f"{a}_strength"][block, None] * miss
        most = n_clicks[block].max(initial=1)
        first = np.sort(np.partition(race, most - 1)[:, :most])
        row, item = np.nonzero(race <= np.take_along_axis(first, n_clicks[block, None] - 1, 1))
        people.append(block[row])
        items.append(item)
    return np.concatenate(people), np.concatenate(items)


def _stray(
    popularity: ndarray, starts: ndarray, shares: ndarray, n_clicks: ndarray, rng: Generator
) -> tuple[ndarray, ndarray]:
    """The clicks that no intention explains: rows of users and of items."""
    user = np.repeat(np.arange(len(n_clicks)), rng.binomial(n_clicks.sum(1), 1 / 16))
    item = rng.choice(len(popularity), size=len(user), p=popularity)
    outside = shares[user, np.searchsorted(starts, item, side="right") - 1] == 0
    return np.divmod(np.unique(user[outside] * len(popularity) + item[outside]), len(popularity))


def _frame(category: _Category, columns: dict[str, ndarray | pl.Series]) -> pl.DataFrame:
    """Columns of one category, words spelt out."""
    words = {f"{p}{a}": words for a, words in category.words.items() for p in ("", "preferred_")}
    spelt = {name: pl.Series(words[name]).gather(columns[name]) for name in words.keys() & columns}
    return pl.DataFrame(columns | spelt).with_columns(category=pl.lit(category.name))


def _shelve(category: _Category, goods: _Columns) -> pl.DataFrame:
    """A category's items, with ids and the titles that their values spell."""
    item_id = _number(f"{category.name}-", len(goods["popularity"]))
    adjectives = {"price": "budget premium", "size": category.sizes, "darkness": "pale dark"}
    spoken = []
    for a, (low, high) in ((a, adjectives[a].split()) for a in adjectives if a in goods):
        below = pl.when(pl.col(a) < 1 / 3).then(pl.lit(low))
        spoken.append(below.when(pl.col(a) > 2 / 3).then(pl.lit(high)))
    spoken += [pl.col("colour"), pl.col("style"), pl.col("category")]
    title = pl.concat_str(spoken, separator=" ", ignore_nulls=True)
    nth = pl.int_range(1, pl.len() + 1).over(title)
    numbered = pl.when(nth > 1).then(pl.format("{} no. {}", title, nth)).otherwise(title)
    return _frame(category, {"item_id": item_id} | goods).with_columns(title=numbered)


def _date(
    user: ndarray, item: ndarray, user_ids: pl.Series, item_ids: pl.Series, rng: Generator
) -> pl.DataFrame:
    """The clicks, sorted by user, each user's shuffled and then set in time."""
    order = np.lexsort((rng.random(len(user)), user))
    user, item = user[order], item[order]
    elapsed = np.ceil(rng.lognormal(np.log(3000), 1.5, len(user))).astype(np.int64).cumsum()
    opened = _NEW_YEAR + rng.integers(300 * 86_400, size=len(user_ids))
    time = elapsed + (opened - elapsed[np.searchsorted(user, np.arange(len(user_ids)))])[user]
    ids = {"user_id": user_ids.gather(user), "item_id": item_ids.gather(item)}
    return pl.DataFrame({**ids, "weight": np.ones(len(user)), "timestamp": time})


def _number(prefix: str, n: int) -> pl.Series:
    """Ids in an order that is also theirs as text."""
    return prefix + pl.int_range(n, eager=True).cast(pl.String).str.zfill(max(5, len(str(n - 1))))
