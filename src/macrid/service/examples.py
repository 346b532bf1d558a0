"""How answers look: an example of each route's, for OpenAPI, and the problems it may have."""

from http import HTTPStatus
from typing import Any

_ITEM = {"item_id": "bag-00108", "score": 3.41, "rank": 1, "title": "a large black bag"}
_CONCEPT = {"concept": 2, "name": "bags", "n_items": 310, "item_share": 0.16, "confidence": 0.93}
_END = {"concept": 2, "dimension": 14, "low": "small", "high": "large", "strength": 0.71}
_EVENT = {"item_id": "bag-00001", "weight": None, "timestamp": 1767225600.0}

ANSWERS: dict[str, dict[str, Any]] = {
    "recommend": {"model": "macridvae", "items": [_ITEM], "unknown": [], "popular": False},
    "similar": {"model": "macridvae", "items": [{"query_id": "bag-00001", **_ITEM}]},
    "encode": {
        "model": "macridvae",
        "concepts": [
            {
                "concept": 2,
                "name": "bags",
                "confidence": 0.8,
                "mean": [0.6, -0.8],
                "log_var": [0, 0],
            }
        ],
        "unknown": [],
    },
    "explain": {
        "model": "macridvae",
        "items": [{"item_id": "bag-00108", "score": 3.41, "sentence": "It scores as bags (93%)."}],
        "history": [{"item_id": "bag-00108", "past_item_id": "bag-00001", "change": 0.52}],
        "concepts": [{"item_id": "bag-00108", "concept": 2, "name": "bags", "share": 0.93}],
        "dimensions": [{"item_id": "bag-00108", "concept": 2, "dimension": 14, "product": 0.21}],
    },
    "walk": {
        "model": "macridvae",
        "concept": 2,
        "dial": "14",
        "start": 0.12,
        "range": [-0.4, 0.6],
        "stable": True,
        "items": [{"rank": 1, "item_id": "bag-00260", "value": -0.3, "title": "a small black bag"}],
    },
    "concepts": {
        "model": "macridvae",
        "concepts": [_CONCEPT],
        "typical": [{"concept": 2, "rank": 1, "item_id": "bag-00108", "probability": 0.99}],
        "dimensions": [_END],
    },
    "dials": {
        "model": "macridvae",
        "dimensions": [_END],
        "features": [{"concept": 2, "name": "bags", "feature": "size", "strength": 0.71}],
    },
    "items": {
        "items": [{"item_id": "bag-00108", "train_events": 52, "title": "a large black bag"}],
        "total": 1,
        "page": 1,
        "size": 20,
    },
    "map": {
        "model": "macridvae",
        "digest": "0f3a9c1d2b4e5f60",
        "item_id": ["bag-00108"],
        "title": ["a large black bag"],
        "x": [0.42],
        "y": [-0.1],
        "concept": [2],
    },
    "place": {
        "model": "macridvae",
        "components": [{"concept": 2, "name": "bags", "confidence": 0.8, "x": 0.4, "y": -0.08}],
    },
    "item": {
        "item_id": "bag-00108",
        "train_events": 52,
        "title": "a large black bag",
        "concept": 2,
    },
    "events": {"added": 1, "replayed": False},
    "history": {"user_id": "ada", "events": [_EVENT]},
    "controls": {"concepts": {"bags": 2.0}, "dials": [], "boost": {}, "block": []},
    "live": {"status": "live"},
    "ready": {"status": "ready", "model": "macridvae", "digest": "0f3a9c1d2b4e5f60"},
    "reload": {"model": "macridvae", "digest": "0f3a9c1d2b4e5f60", "changed": True},
}


def documented(name: str, *statuses: int) -> dict[int | str, dict[str, Any]]:
    """The ``responses`` of a route: its example, and its problems.

    Args:
        name: Of the example.
        statuses: Of problems that this route has beside those that all have.

    Example:
        >>> sorted(documented("live", 404))
        [200, 400, 401, 404, 408, 413, 422, 429, 500, 503]
    """
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    problems: dict[int | str, dict[str, Any]] = {
        status: {"description": HTTPStatus(status).phrase, "content": content}
        for status in sorted({400, 401, 408, 413, 422, 429, 500, 503, *statuses})
    }
    answer = {"content": {"application/json": {"example": ANSWERS[name]}}}
    return {200: answer, **problems}
