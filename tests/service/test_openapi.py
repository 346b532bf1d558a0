"""The description of the service is true: every route has an example, every answer fits it."""

import json
import socket
import threading
import time

import httpx
import hypothesis
import pytest
import schemathesis
import uvicorn
from schemathesis import GenerationMode

from macrid.service.app import create_app
from macrid.service.settings import ServeSettings

pytestmark = pytest.mark.xdist_group("openapi")  # one service for all

METHODS = ("get", "post", "put", "delete", "patch")


def operations(document):
    """Of a description: address, method, what is said of it."""
    return [
        (address, method, said)
        for address, methods in document["paths"].items()
        for method, said in methods.items()
        if method in METHODS
    ]


@pytest.fixture(scope="module")
def document(client):
    return client.get("/openapi.json").json()


def test_every_route_of_the_issue_is_there(document):
    there = {(address, method) for address, method, _ in operations(document)}
    assert there >= {
        ("/v1/recommend", "post"),
        ("/v1/similar", "post"),
        ("/v1/encode", "post"),
        ("/v1/walk", "post"),
        ("/v1/explain", "post"),
        ("/v1/concepts", "get"),
        ("/v1/items", "get"),
        ("/v1/items/{item_id}", "get"),
        ("/v1/events", "post"),
        ("/v1/users/{user_id}/history", "get"),
        ("/v1/users/{user_id}/controls", "get"),
        ("/v1/users/{user_id}/controls", "put"),
        ("/v1/admin/reload", "post"),
        ("/health/live", "get"),
        ("/health/ready", "get"),
        ("/metrics", "get"),
    }


def test_every_route_has_an_example_of_its_answer_and_of_what_is_asked(document):
    for address, method, said in operations(document):
        answers = said["responses"]["200"]["content"].values()
        assert all("example" in answer for answer in answers), (address, method)
        for parameter in said.get("parameters", []):
            assert "examples" in parameter["schema"] or "examples" in parameter, parameter
        if "requestBody" in said:
            schema = said["requestBody"]["content"]["application/json"]["schema"]
            name = schema.get("$ref", "").rsplit("/", 1)[-1]
            assert "examples" in schema or document["components"]["schemas"][name]["examples"]


def test_every_problem_is_documented_as_one(document):
    for address, method, said in operations(document):
        for status, answer in said["responses"].items():
            if status != "200":
                assert [*answer["content"]] == ["application/problem+json"], (address, method)


def test_a_route_does_what_its_example_asks(client, document, model):
    """With the ids of this model in place of those of the example."""
    known = {"bag-00001": "0-01", "bag-00080": "0-02", "bag-00108": "0-03", "bags": "bags"}
    for address, method, said in operations(document):
        if method != "post" or "requestBody" not in said:
            continue
        schema = said["requestBody"]["content"]["application/json"]["schema"]
        example = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[-1]]["examples"][
            0
        ]
        text = json.dumps(example)
        for name, item in known.items():
            text = text.replace(f'"{name}"', f'"{item}"')
        answer = client.post(address, json.loads(text))
        assert answer.status_code == 200, answer.text


@pytest.fixture(scope="module")
def described(folder, tmp_path_factory):
    """The service on a real socket, as schemathesis wants it."""
    store = tmp_path_factory.mktemp("store") / "store.sqlite"
    app = create_app(ServeSettings(folder=folder, store=f"sqlite:///{store}"))
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, ws="none"))
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    # A request may be as described and yet ask for what this model has not: 422, in words.
    fine = {"expected-statuses": ["2xx", "404", "409", "422"]}
    wrong = {"expected-statuses": ["400", "404", "413", "422"]}
    checks = {"positive_data_acceptance": fine, "negative_data_rejection": wrong}
    config = schemathesis.Config.from_dict({"checks": checks})
    address = f"http://127.0.0.1:{listening.getsockname()[1]}"
    url = f"{address}/openapi.json"
    while httpx.get(f"{address}/v1/map", timeout=20).status_code == 503:  # it is being drawn
        time.sleep(0.1)
    yield schemathesis.openapi.from_url(url, config=config)
    server.should_exit = True
    thread.join(20)
    listening.close()


ROUTES = [
    ("POST", "/v1/recommend"),
    ("POST", "/v1/similar"),
    ("POST", "/v1/encode"),
    ("POST", "/v1/explain"),
    ("POST", "/v1/walk"),
    ("GET", "/v1/concepts"),
    ("GET", "/v1/dials"),
    ("GET", "/v1/map"),
    ("POST", "/v1/map/place"),
    ("GET", "/v1/items"),
    ("GET", "/v1/items/{item_id}"),
    ("POST", "/v1/events"),
    ("GET", "/v1/users/{user_id}/history"),
    ("PUT", "/v1/users/{user_id}/controls"),
    ("GET", "/v1/users/{user_id}/controls"),
    ("GET", "/health/live"),
    ("GET", "/health/ready"),
    ("GET", "/metrics"),
    ("POST", "/v1/admin/reload"),
]


def test_all_routes_are_tried(document):
    assert {(m.upper(), address) for address, m, _ in operations(document)} == {*ROUTES}


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
@pytest.mark.parametrize(("method", "address"), ROUTES)
def test_whatever_is_asked_is_answered_as_described(described, method, address, mode):
    """Every check of schemathesis, on what the description allows and on what it does not."""
    operation = described[address][method]
    if mode is GenerationMode.NEGATIVE and not (operation.body or operation.query):
        pytest.skip("nothing can be asked wrongly")

    @hypothesis.settings(max_examples=8, suppress_health_check=[*hypothesis.HealthCheck])
    @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
    def conform(case):
        case.call_and_validate()

    conform()
