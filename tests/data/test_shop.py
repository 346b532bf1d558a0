"""The planted facts are in the clicks, and the folder is written whole or not at all."""

import json

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from macrid.data.shop import Shop, open_shop
from macrid.errors import DataError

NUMBERS = ("size", "price", "darkness")
N_USERS, N_ITEMS = 3_000, 1_600


@pytest.fixture(scope="module")
def shop() -> Shop:
    return open_shop(N_USERS, N_ITEMS, seed=1)


@pytest.fixture(scope="module")
def clicks(shop) -> pl.DataFrame:
    """Each click with its item and, unless it is a stray, the taste behind it."""
    explained = shop.events.join(shop.items, on="item_id")
    return explained.join(shop.users, on=["user_id", "category"], how="left")


@pytest.fixture(scope="module")
def co_clicks(shop) -> np.ndarray:
    """Cosine of each two items' users, itself left out."""
    item = shop.events["item_id"].replace_strict(shop.items["item_id"], range(N_ITEMS)).to_numpy()
    clicked = np.zeros((N_USERS, N_ITEMS), dtype=np.float32)
    clicked[shop.events["user_id"].rle_id().to_numpy(), item] = 1
    clicked /= np.linalg.norm(clicked, axis=0).clip(min=1)
    cosine = clicked.T @ clicked
    np.fill_diagonal(cosine, 0)
    return cosine


def gini(counts: np.ndarray) -> float:
    """0 when all are equal, 1 when one has everything."""
    rank = np.arange(1, len(counts) + 1)
    return float((2 * rank - len(counts) - 1) @ np.sort(counts) / (len(counts) * counts.sum()))


def test_same_seed_gives_the_same_shop_and_another_seed_another():
    first, again, other = (open_shop(200, 400, seed=seed) for seed in (3, 3, 4))
    for name in ("events", "items", "users"):
        assert_frame_equal(getattr(first, name), getattr(again, name))
        assert not getattr(first, name).equals(getattr(other, name))


def test_seven_categories_have_the_published_and_very_different_sizes(shop):
    sizes = shop.items["category"].value_counts(sort=True)["count"].to_numpy()
    assert np.abs(sizes / N_ITEMS - [0.32, 0.22, 0.16, 0.12, 0.08, 0.06, 0.04]).max() < 1 / N_ITEMS


def test_events_name_known_users_and_items_once_per_pair_in_order(shop):
    events = shop.events
    assert not events.select("user_id", "item_id").is_duplicated().any()
    assert set(events["item_id"]) <= set(shop.items["item_id"])
    assert events["user_id"].is_sorted()
    assert events["user_id"].n_unique() == shop.users["user_id"].n_unique() == N_USERS
    assert (events["weight"] == 1).all()
    assert events.select(pl.col("timestamp").diff().over("user_id").min()).item() > 0


def test_everyone_clicks_eight_times_or_more_and_some_far_more_than_most(shop):
    counts = shop.events["user_id"].value_counts()["count"].to_numpy()
    assert counts.min() >= 8
    assert counts.max() > 5 * np.median(counts)
    assert 30 < counts.mean() < 45


@pytest.mark.parametrize("n_users", [1, 2, 40])
def test_smallest_shop_still_gives_everyone_eight_clicks(n_users):
    shop = open_shop(n_users, 400, seed=n_users)
    counts = shop.events["user_id"].value_counts()["count"].to_numpy()
    assert len(counts) == n_users
    assert counts.min() >= 8


def test_two_clicks_of_one_person_share_a_category_far_more_often_than_chance(clicks):
    def n_pairs(counts: pl.Series) -> float:
        return (counts.to_numpy() * (counts.to_numpy() - 1.0)).sum()

    pairs = n_pairs(clicks.group_by("user_id").len()["len"])
    shared = n_pairs(clicks.group_by("user_id", "category").len()["len"]) / pairs
    chance = ((clicks["category"].value_counts()["count"] / clicks.height) ** 2).sum()
    assert shared > 2 * chance


def test_few_clicks_fall_outside_the_intentions(clicks):
    assert 0.02 < clicks["share"].null_count() / clicks.height < 0.05


def test_everyone_has_one_to_four_intentions_whose_shares_sum_to_one(shop):
    people = shop.users.group_by("user_id").agg(pl.len(), pl.col("share").sum())
    assert set(people["len"]) == {1, 2, 3, 4}
    assert np.allclose(people["share"], 1)
    assert shop.users.select(pl.col("share").diff().over("user_id").max()).item() <= 0


def test_clicks_divide_among_intentions_by_their_shares(clicks):
    meant = clicks.drop_nulls("share").with_columns(n=pl.len().over("user_id"))
    busy = meant.filter(pl.col("n") < 50, pl.col("n") > 20, pl.col("share") < 0.999)
    actual = busy.group_by("user_id", "category").agg(
        expected=pl.col("share").first(), got=pl.len() / pl.col("n").first()
    )
    assert np.corrcoef(actual["expected"], actual["got"])[0, 1] > 0.8


def test_clicks_lie_closer_to_the_preferred_values_than_the_category_does(shop, clicks):
    pairs = shop.users.head(500).join(shop.items.rename({"item_id": "offered"}), on="category")
    for name in NUMBERS:
        distance = (pl.col(name) - pl.col(f"preferred_{name}")) ** 2
        chosen, offered = (
            frame.group_by("category").agg(distance.mean()).drop_nulls().sort("category")[name]
            for frame in (clicks, pairs)
        )
        assert len(chosen) >= 4
        assert (chosen < 0.75 * offered).all()


def test_stronger_tastes_bring_clicks_closer_to_the_preferred_value(clicks):
    for name in NUMBERS:
        taste = clicks.drop_nulls([name, f"preferred_{name}"])
        strength = taste[f"{name}_strength"]
        squared = (taste[name] - taste[f"preferred_{name}"]) ** 2
        weak, strong = strength < strength.quantile(0.25), strength > strength.quantile(0.75)
        assert squared.filter(strong).mean() < 0.6 * squared.filter(weak).mean()


@pytest.mark.parametrize("name", ["colour", "style"])
def test_favourite_words_are_clicked_far_more_often_than_chance(shop, clicks, name):
    hits = (clicks[name] == clicks[f"preferred_{name}"]).mean()
    words = shop.items.group_by("category").agg(n_words=pl.col(name).n_unique())
    chance = (1 / clicks.join(words, on="category")["n_words"]).mean()
    assert hits > 1.5 * chance


def test_lone_clicks_follow_the_formula_of_the_docstring(shop, clicks):
    """What is clicked once is one draw from P(i | u, c); its features must have P's means."""
    lone = clicks.drop_nulls("share").filter(pl.len().over("user_id", "category") == 1)
    excess, variance = {}, {}
    for (category,), goods in shop.items.group_by("category", maintain_order=True):
        taste = lone.filter(pl.col("category") == category)
        features = {
            "popularity": np.log(goods["popularity"].to_numpy())[None] + np.zeros((len(taste), 1))
        }
        logit = features["popularity"]
        for name in (*NUMBERS, "colour", "style"):
            if goods[name].null_count():
                continue
            value, wanted = goods[name].to_numpy(), taste[f"preferred_{name}"].to_numpy()[:, None]
            features[name] = (
                -((value - wanted) ** 2) if name in NUMBERS else 1.0 * (value == wanted)
            )
            logit = logit + taste[f"{name}_strength"].to_numpy()[:, None] * features[name]
        chances = np.exp(logit) / np.exp(logit).sum(1, keepdims=True)
        clicked = taste["item_id"].to_numpy()[:, None] == goods["item_id"].to_numpy()
        for name, feature in features.items():
            mean = (chances * feature).sum(1, keepdims=True)
            excess[name] = excess.get(name, 0) + feature[clicked].sum() - mean.sum()
            variance[name] = variance.get(name, 0) + (chances * (feature - mean) ** 2).sum()
    assert len(lone) > 200
    for name in excess:
        assert abs(excess[name]) < 4 * variance[name] ** 0.5, name


def test_popularity_is_long_tailed_and_shows_in_the_clicks(shop):
    counts = shop.items.join(shop.events.group_by("item_id").len(), on="item_id", how="left")
    assert shop.items["popularity"].sum() == pytest.approx(1)
    assert gini(shop.items["popularity"].to_numpy()) > 0.6
    assert gini(counts["len"].fill_null(0).to_numpy()) > 0.45
    ranks = counts.with_columns(
        pl.col("popularity", "len").fill_null(0).rank().over("category").cast(pl.Float64)
    )
    assert np.corrcoef(ranks["popularity"], ranks["len"])[0, 1] > 0.7


def test_items_clicked_together_reveal_the_category(shop, co_clicks):
    category = shop.items["category"].to_numpy()
    assert (category[co_clicks.argmax(1)] == category).mean() > 0.95


def test_items_clicked_together_reveal_every_number_within_a_category(shop, co_clicks):
    items = shop.items.with_row_index()
    for (category,), goods in items.group_by("category"):
        rows = goods["index"].to_numpy()
        alike = co_clicks[np.ix_(rows, rows)].argsort(1)[:, -3:]
        for name in (name for name in NUMBERS if goods[name].null_count() == 0):
            value = goods[name].to_numpy()
            seen = np.corrcoef(value, value[alike].mean(1))[0, 1]
            assert seen > 0.25, (category, name)


def test_each_category_has_its_own_attributes_and_words(shop):
    has = shop.items.group_by("category").agg(pl.col(*NUMBERS).is_not_null().all())
    assert has.select(NUMBERS).n_unique() >= 4
    assert not has.filter(category="headphones")["darkness"].item()
    tastes = shop.users.group_by("category").agg(
        pl.col(f"preferred_{name}").is_not_null().all().alias(name) for name in NUMBERS
    )
    assert_frame_equal(has, tastes, check_row_order=False)
    assert (
        shop.items.group_by("category").agg(pl.col("style").unique().sort())["style"].n_unique()
        == 7
    )


def test_titles_are_unique_and_agree_with_the_values(shop):
    items = shop.items
    assert items["title"].n_unique() == N_ITEMS
    title = pl.col("title")
    for word, claimed in {
        r"\blarge\b.* bag": pl.col("size") > 2 / 3,
        r"^(budget )?short\b.* dress": pl.col("size") < 1 / 3,
        r"^premium\b": pl.col("price") > 2 / 3,
        r"\bdark\b": pl.col("darkness") > 2 / 3,
        r"\bpale\b": pl.col("darkness") < 1 / 3,
    }.items():
        where = pl.lit(True)
        for noun in ("bag", "dress"):
            if word.endswith(noun):
                where = pl.col("category") == noun
        says, truth = items.filter(where).select(
            says=title.str.contains(word), truth=claimed.fill_null(False)
        )
        assert says.sum() > 0
        assert (says == truth).all(), word
    spelt = pl.concat_str("colour", "style", "category", separator=" ")
    assert items.select(title.str.contains(spelt, literal=True).all()).item()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"n_users": 0}, "n_users is 0 but must be at least 1"),
        ({"n_items": 399}, "n_items is 399 but must be at least 400"),
        ({"seed": -1}, "seed is -1 but must be at least 0"),
    ],
)
def test_too_small_an_argument_is_refused_with_its_bound(arguments, words):
    with pytest.raises(ValueError, match=words):
        open_shop(**arguments)


def test_folder_holds_the_shop_and_how_it_was_drawn(tmp_path):
    shop = open_shop(60, 400, seed=5)
    folder = shop.write(tmp_path / "deep" / "shop")
    assert_frame_equal(pl.read_parquet(folder / "interactions.parquet"), shop.events)
    assert_frame_equal(pl.read_parquet(folder / "items.parquet"), shop.items)
    assert_frame_equal(pl.read_parquet(folder / "users.parquet"), shop.users)
    settings = json.loads((folder / "shop.json").read_text())
    assert (settings["n_users"], settings["n_items"], settings["seed"]) == (60, 400, 5)
    assert "popularity_i" in (folder / "README.md").read_text(encoding="utf-8")


def test_same_seed_writes_the_same_bytes(tmp_path):
    folders = [open_shop(60, 400, seed=5).write(tmp_path / name) for name in ("one", "two")]
    one, two = ({file.name: file.read_bytes() for file in f.iterdir()} for f in folders)
    assert one == two


def test_writing_again_replaces_the_shop_and_leaves_nothing_beside_it(tmp_path):
    open_shop(60, 400, seed=5).write(tmp_path / "shop")
    open_shop(60, 400, seed=6).write(tmp_path / "shop")
    assert json.loads((tmp_path / "shop" / "shop.json").read_text())["seed"] == 6
    assert [entry.name for entry in tmp_path.iterdir()] == ["shop"]


@pytest.mark.parametrize("stranger", ["notes.txt", "interactions.parquet"])
def test_folder_with_anything_but_a_shop_is_refused_and_kept(tmp_path, stranger):
    (tmp_path / stranger).write_text("mine")
    with pytest.raises(DataError, match="taken but may only be new, empty, or a shop"):
        open_shop(10, 400).write(tmp_path)
    assert (tmp_path / stranger).read_text() == "mine"


def test_shop_with_something_else_in_it_is_refused_and_kept(tmp_path):
    shop = open_shop(10, 400)
    (shop.write(tmp_path / "shop") / "model").mkdir()
    with pytest.raises(DataError, match="nothing else"):
        shop.write(tmp_path / "shop")
    assert (tmp_path / "shop" / "model").is_dir()


def test_file_in_the_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "shop").write_text("a file")
    with pytest.raises(DataError, match="taken"):
        open_shop(10, 400).write(tmp_path / "shop")


def test_failed_write_leaves_the_earlier_shop_and_no_scraps(tmp_path):
    folder = open_shop(10, 400, seed=5).write(tmp_path / "shop")
    unwritable = pl.DataFrame({"x": [object()]})
    shop = open_shop(10, 400, seed=6)
    broken = Shop(shop.events, unwritable, shop.users, seed=6)
    with pytest.raises(pl.exceptions.PolarsError, match="Object"):
        broken.write(folder)
    assert json.loads((folder / "shop.json").read_text())["seed"] == 5
    assert [entry.name for entry in tmp_path.iterdir()] == ["shop"]
