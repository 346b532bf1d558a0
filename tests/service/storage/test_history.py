import pytest
from sqlalchemy import text

from macrid.service.storage.engine import open_engine, using
from macrid.service.storage.errors import StoreError
from macrid.service.storage.history import HistoryQuery

NEWEST = "SELECT item FROM clicks WHERE person = :user_id ORDER BY day DESC;"


@pytest.fixture
def clicks(url):
    """Somebody's own table, whose people are numbers."""
    engine = open_engine(url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE clicks (person INTEGER, item TEXT, day INTEGER)"))
        rows = [{"p": 1, "i": f"i{day}", "d": day} for day in range(5)]
        rows += [{"p": 1, "i": "i2", "d": 9}, {"p": 2, "i": None, "d": 1}]
        connection.execute(text("INSERT INTO clicks VALUES (:p, :i, :d)"), rows)
    engine.dispose()
    return url


def test_reads_newest_first_each_item_once_no_more_than_asked_for(clicks):
    history = HistoryQuery(clicks, NEWEST)
    assert history.items("1", 10) == ["i2", "i4", "i3", "i1", "i0"]
    assert history.items("1", 2) == ["i2", "i4"]
    assert history.items("2", 10) == []
    history.close()


def test_numbers_stay_numbers(clicks):
    history = HistoryQuery(clicks, "SELECT day FROM clicks WHERE person = :user_id ORDER BY 1")
    assert history.items("1", 3) == [0, 1, 2]
    history.close()


def test_somebody_who_cannot_be_in_the_table_is_nobody(clicks):
    history = HistoryQuery(clicks, NEWEST)
    assert history.items("ada'; DROP TABLE clicks; --", 3) == []
    assert history.items("1", 1) == ["i2"]
    history.close()


def test_nothing_is_written(clicks):
    with pytest.raises(StoreError, match=r"read-?only|does not return rows|syntax error"):
        HistoryQuery(clicks, "INSERT INTO clicks (person) VALUES (:user_id)")
    with using(engine := open_engine(clicks)) as connection:
        assert connection.scalar(text("SELECT count(*) FROM clicks")) == 7
    engine.dispose()


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("SELECT item FROM clicks", "no parameter :user_id"),
        ("SELECT thing FROM clicks WHERE person = :user_id", "thing"),
        ("SELECT item FROM clicks WHERE person = :user_id AND day > :day", "day"),
    ],
)
def test_a_query_that_cannot_be_asked_is_refused_before_anybody_asks(clicks, query, said):
    with pytest.raises(StoreError, match=said):
        HistoryQuery(clicks, query)
