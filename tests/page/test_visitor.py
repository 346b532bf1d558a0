"""A visitor, over the real service: what is pressed and turned is seen, undone, and told apart."""

from html import unescape

import httpx
import pytest

from asking import serving
from macrid.page.api import Api
from macrid.page.visitor import Visitor
from planted import fitted


class Wall:
    """A screen that remembers what is on it."""

    def __init__(self):
        self.parts, self.addresses, self.points, self.opened = {}, [""], [], False

    def show(self, part, html):
        self.parts[part] = html

    def point(self, **what):
        self.points.append(what)

    def address(self, query):
        self.addresses.append(query)

    def sheet(self, *, opened):
        self.opened = opened


class Somebody:
    """A visitor whose screen can be looked at, called without waiting."""

    def __init__(self, client):
        api = Api("http://test")
        client.portal.call(api.close)
        api.client = client.asked
        self.wall, self.portal = Wall(), client.portal
        self.visitor = Visitor(api, self.wall)

    def __getattr__(self, name):
        return lambda *words, **more: self.portal.call(
            lambda: getattr(self.visitor, name)(*words, **more)
        )

    def __getitem__(self, part):
        return self.wall.parts.get(part, "")


@pytest.fixture
def somebody(client):
    one = Somebody(client)
    one.begin("")
    one.wait_for_features()
    return one


def test_at_first_the_most_popular_and_people_to_begin_with(somebody):
    assert "most popular" in somebody["change"]
    assert somebody["list"].count("<li") == 20
    assert "someone who likes <b>bags" in somebody["people"]
    assert "bed &lt;lamps&gt;" in somebody["cards"]
    assert "<lamps>" not in somebody["cards"] + somebody["people"]
    assert somebody.visitor.state.history == ()


def test_an_example_has_a_history_a_list_and_a_place_on_the_map(client, somebody):
    while client.get("/v1/map").status_code == 503:
        pass  # it is being drawn; each request waits for it
    somebody.press("example", "0")
    had = somebody.visitor.state.history
    assert len(had) == 5
    assert somebody["history"].count("<li") == 5
    assert "of your history" in somebody["cards"]
    assert somebody.wall.addresses[-1].count("had=") == 5
    assert not set(somebody.visitor.list) & set(had)
    assert somebody.wall.points[-1]["had"] == list(had)
    assert somebody.wall.points[-1]["spots"]


def test_what_is_searched_is_found_and_clicked_in(somebody):
    somebody.search("title 1-0")
    assert somebody["found"].count("<li") == 8
    assert "2 more" in somebody["found"]
    somebody.press("add", "1-03")
    somebody.press("add", "1-03")
    assert somebody.visitor.state.history == ("1-03",)
    somebody.search("nowhere <b>")
    assert "Nothing is called “nowhere &lt;b&gt;”" in somebody["found"]
    somebody.search("")
    assert somebody["found"] == ""
    somebody.press("remove", "1-03")
    assert somebody.visitor.state.history == ()


def test_a_turned_dial_changes_the_list_marks_it_and_is_undone(somebody):
    somebody.press("example", "0")
    before, address = list(somebody.visitor.list), somebody.wall.addresses[-1]
    somebody.turn("dial", "0:f:price", 0.5, done=False)
    somebody.turn("dial", "0:f:price", 1.0, done=True)
    after = list(somebody.visitor.list)
    assert after != before
    prices = {item: somebody.visitor.goods.known[item]["price"] or 0 for item in {*before, *after}}
    assert sum(map(prices.get, after)) > sum(map(prices.get, before))
    assert 'class="came"' in somebody["list"]
    assert f"{len(set(after) - set(before))} came" in somebody["change"]
    assert somebody.wall.addresses[-1] == f"{address}&feature=0:1:price"
    somebody.press("undo", "")  # one step back, however far the slider went
    assert somebody.visitor.list == before
    assert somebody.wall.addresses[-1] == address


def test_a_weight_of_nothing_mutes_and_reset_brings_it_back(somebody):
    somebody.press("example", "3")  # of two concepts
    before = list(somebody.visitor.list)
    somebody.turn("weight", "0", 0.0, done=True)
    assert not [item for item in somebody.visitor.list if item.startswith("0-")]
    assert "reset" in somebody["tools"]
    somebody.press("reset", "")
    assert somebody.visitor.list == before
    assert "muted" not in somebody["cards"]


def test_all_muted_is_a_sentence_that_goes_again(somebody):
    somebody.press("example", "0")
    for concept in "012":
        somebody.turn("weight", concept, 0, done=True)
    assert "All concepts are weighed at 0" in somebody["trouble"]
    somebody.turn("weight", "0", 1, done=True)
    assert somebody["trouble"] == ""


def test_a_walk_is_a_strip_of_real_items_and_is_closed_again(somebody):
    somebody.press("example", "0")
    somebody.press("walk", "0:f:price")
    assert somebody["cards"].count('id="step-') == 8
    assert "less price" in somebody["cards"]
    somebody.press("walk", "0:f:price")
    assert 'id="step-' not in somebody["cards"]
    somebody.press("empty", "")
    somebody.press("walk", "0:f:price")  # of nobody: from a typical item
    assert somebody["cards"].count('id="step-') == 8


def test_why_is_words_shares_and_past_items(somebody):
    somebody.press("why", somebody.visitor.list[0])
    assert "nothing is known of you yet" in somebody["trouble"].lower()
    somebody.press("example", "0")
    item = somebody.visitor.list[0]
    somebody.press("why", item)
    assert somebody.wall.opened
    assert f"Title {item}" in somebody["sheet"]
    assert "scores as bags" in somebody["sheet"]
    assert "By concept" in somebody["sheet"]
    assert "By what you had" in somebody["sheet"]
    somebody.press("close", "")
    assert not somebody.wall.opened


def test_a_link_restores_everything(client, somebody):
    somebody.press("example", "0")
    somebody.turn("dial", "0:f:price", -0.6, done=True)
    other = Somebody(client)
    other.begin(somebody.wall.addresses[-1])
    assert other.visitor.state == somebody.visitor.state
    assert other.visitor.list == somebody.visitor.list


@pytest.mark.parametrize(
    ("link", "said"),
    [
        ("hat=a", "says 'hat'"),
        ("had=nobody-has-this", "is not in the model's"),
        ("had=0-01&weight=99:2", "no concept 99"),
        ("had=0-01&feature=0:1:nothing", "no feature 'nothing'"),
    ],
)
def test_a_link_that_means_nothing_is_a_sentence_and_an_empty_page(client, link, said):
    one = Somebody(client)
    one.begin(link)
    assert said in unescape(one["trouble"])
    assert one.visitor.state.history == ()
    assert one["list"].count("<li") == 20


def test_visitors_do_not_see_each_other(client, somebody):
    somebody.press("example", "0")
    other = Somebody(client)
    other.begin("")
    assert other.visitor.state.history == ()
    assert len(somebody.visitor.state.history) == 5


@pytest.mark.parametrize(
    "pressed", [("nonsense", ""), ("example", "99"), ("fold", "x"), ("walk", "9:f:x"), ("undo", "")]
)
def test_what_is_not_on_the_page_does_nothing(somebody, pressed):
    before = somebody.visitor.state
    somebody.press(*pressed)
    for value in (float("nan"), None, "1"):
        somebody.turn("weight", "0", value, done=True)
    somebody.turn("dial", "9:f:x", 1.0, done=True)
    assert somebody.visitor.state == before
    assert somebody["trouble"] == ""


def test_a_service_that_is_away_is_a_sentence_and_a_way_back(client):
    one = Somebody(client)
    there, one.visitor.api.client = (
        one.visitor.api.client,
        httpx.AsyncClient(base_url="http://127.0.0.1:9", trust_env=False),
    )
    one.begin("had=0-01")
    assert "The service does not answer; is it running?" in one["trouble"]
    assert "try again" in one["trouble"]
    client.portal.call(one.visitor.api.client.aclose)
    one.visitor.api.client = there
    one.press("retry", "")
    assert one["trouble"] == ""
    assert one["list"].count("<li") == 20


def test_an_item_that_is_unknown_changes_nothing(somebody):
    somebody.press("example", "0")
    before, steps = somebody.visitor.state, len(somebody.visitor.undone)
    somebody.press("add", "never-heard-of")
    assert "is not in the model's" in unescape(somebody["trouble"])
    assert somebody.visitor.state == before
    assert len(somebody.visitor.undone) == steps


def test_a_model_without_concepts_says_so_lists_and_explains(tmp_path):
    fitted("ease").save(tmp_path / "ease")
    with serving(tmp_path / "ease", tmp_path / "s.sqlite") as client:
        one = Somebody(client)
        one.begin("")
        one.wait_for_features()
        assert "ease has no concepts" in one["cards"]
        one.press("add", one.visitor.list[0])
        one.press("why", one.visitor.list[0])
        assert one["trouble"] == ""
        assert "By what you had" in one["sheet"]
        assert "By concept" not in one["sheet"]
