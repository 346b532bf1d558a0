import shutil

import pytest

from asking import refused, serving


@pytest.fixture
def place(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "model")


def test_a_ready_service_says_with_which_model(client):
    assert client.get("/health/live").json() == {"status": "live"}
    ready = client.get("/health/ready").json()
    assert (ready["status"], ready["model"]) == ("ready", "macridvae")


def test_it_is_not_ready_without_its_store_and_lists_by_history_are_answered(place, tmp_path):
    store = tmp_path / "folder" / "s.sqlite"
    store.parent.mkdir()
    with serving(place, store) as client:
        client.app.state.service.store.engine.dispose()
        shutil.rmtree(store.parent)
        answer = client.get("/health/ready")
        assert "cannot be used now" in refused(answer, 503)
        assert answer.headers["retry-after"] == "2"
        refused(client.post("/v1/recommend", {"user_id": "ada"}), 503)
        assert client.post("/v1/recommend", {"history": ["0-01"]}).status_code == 200


def test_who_opens_the_service_is_led_to_the_page_on_the_host_that_was_asked(place, tmp_path):
    with serving(place, tmp_path / "s.sqlite", page_port=8001) as client:
        for host, there in [
            ("shop.example:8000", "http://shop.example:8001/"),
            ("[::1]:8000", "http://[::1]:8001/"),
            ("127.0.0.1", "http://127.0.0.1:8001/"),
        ]:
            answer = client.get("/", headers={"Host": host})
            assert (answer.status_code, answer.headers["location"]) == (307, there)
        refused(client.get("/", headers={"Host": "a/b@c"}), 404)


def test_without_a_page_nothing_is_there(client):
    assert "there is nothing at this address" in refused(client.get("/"), 404)


def test_metrics_count_routes_and_never_name_people(client):
    client.get("/v1/users/a-private-person/history")
    client.get("/a-private-address")
    client.request("PRIVATE", "/v1/items")
    client.post("/v1/recommend", {"history": ["0-01"]})
    page = client.get("/metrics")
    assert page.headers["content-type"].startswith("text/plain")
    assert 'route="/v1/users/{user_id}/history",status="200"' in page.text
    assert "macrid_batch_people_count 1.0" in page.text
    assert "macrid_model_items 120.0" in page.text
    assert "private" not in page.text.lower()


def test_reload_says_what_serves_now(place, tmp_path):
    with serving(place, tmp_path / "s.sqlite") as client:
        before = client.post("/v1/admin/reload").json()
        assert before["changed"] is False
        (place / "names.json").write_text('{"concepts": {"0": "sacks"}}')
        after = client.post("/v1/admin/reload").json()
        assert after["changed"] is True
        assert after["digest"] != before["digest"]
        assert client.get("/v1/concepts").json()["concepts"][0]["name"] == "sacks"
        (place / "model.safetensors").write_bytes(b"damaged")
        said = refused(client.post("/v1/admin/reload"), 409)
        assert "is not the file that was saved" in said
        assert client.get("/health/ready").json()["digest"] == after["digest"]
        assert 'macrid_reloads_total{result="refused"} 1.0' in client.get("/metrics").text
