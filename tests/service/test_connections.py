"""Real processes on real sockets: signals, crashes, crowds, and clients that do not speak."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text

from asking import PLAIN, ask
from macrid.service.storage.engine import open_engine

pytestmark = pytest.mark.xdist_group("connections")  # one service for most

ASKED = {"history": ["0-01", "0-02", "1-04"], "k": 5}


class Served:
    """`macrid serve` in a process of its own."""

    def __init__(self, folder, store, *options, port=0) -> None:
        words = [folder, "--port", port, "--store", store, "--threads", 1, *options]
        command = [sys.executable, "-m", "macrid", "serve", *map(str, words)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            command, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True
        )
        self.log, self.url = [], ""
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        self._wait()

    def _read(self) -> None:
        for line in self.process.stderr:
            self.log.append(line)
            found = re.search(r"at (http://\S+) ", line)
            self.url = self.url or (found.group(1) if found else "")

    def _wait(self) -> None:
        """Until it answers."""
        for _ in range(600):
            assert self.process.poll() is None, "".join(self.log)
            try:
                if self.url and ask("GET", f"{self.url}/health/ready").status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.1)
        raise AssertionError("".join(self.log))

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    def kill(self) -> None:
        """Of the whole service, no goodbye."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.close()

    def stop(self) -> int:
        self.process.terminate()
        status = self.process.wait(30)
        self.close()
        return status

    def close(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(30)
        self.reader.join(10)
        self.process.stderr.close()


@pytest.fixture
def start(folder, tmp_path):
    """Starts services; they end with the test."""
    running = []

    def begin(*options, model=folder, store=f"sqlite:///{tmp_path / 's.sqlite'}", **more):
        running.append(Served(model, store, *options, **more))
        return running[-1]

    yield begin
    for one in running:
        one.close()


@contextmanager
def crowd(n):
    """Threads, and what tells them that it is over, as it also is when a test fails."""
    until = threading.Event()
    with ThreadPoolExecutor(n) as threads:
        try:
            yield threads, until
        finally:
            until.set()


def ask_on(url, until, failures, answers):
    """One list after the other on one connection, as long as it is wanted."""
    with httpx.Client(base_url=url, verify=PLAIN, timeout=60) as client:
        while not until.is_set():
            try:
                answer = client.post("/v1/recommend", json=ASKED)
                answers.append((answer.status_code, answer.text))
            except httpx.TransportError as error:
                failures.append(repr(error))
                return


@pytest.fixture(scope="module")
def served(folder, tmp_path_factory):
    """One service for several tests; its connections may be idle for 2 s."""
    place = shutil.copytree(folder, tmp_path_factory.mktemp("place") / "model")
    one = Served(place, f"sqlite:///{place.with_name('s.sqlite')}", "--idle", 2)
    one.place = place
    yield one
    one.close()


def test_a_new_model_is_taken_under_load_without_a_dropped_request(served):
    """By SIGHUP and by the route; then a damaged one, after which the last keeps serving."""
    place = served.place
    failures, answers = [], []
    with crowd(4) as (threads, until):
        for _ in range(4):
            threads.submit(ask_on, served.url, until, failures, answers)
        digest = [ask("GET", f"{served.url}/health/ready").json()["digest"]]
        for name in ("sacks", "purses"):
            (place / "names.json").write_text(json.dumps({"concepts": {"0": name}}))
            if name == "sacks":
                served.process.send_signal(signal.SIGHUP)
            else:
                assert ask("POST", f"{served.url}/v1/admin/reload").json()["changed"]
            for _ in range(100):
                digest.append(ask("GET", f"{served.url}/health/ready").json()["digest"])
                if digest[-1] not in digest[:-1]:
                    break
                time.sleep(0.05)
            concepts = ask("GET", f"{served.url}/v1/concepts").json()["concepts"]
            assert concepts[0]["name"] == name
        (place / "model.safetensors").write_bytes(b"damaged")
        assert ask("POST", f"{served.url}/v1/admin/reload").status_code == 409
        served.process.send_signal(signal.SIGHUP)
        time.sleep(0.3)
    assert failures == []
    assert {*answers} == {(200, answers[0][1])}
    assert len(answers) > 20
    assert ask("GET", f"{served.url}/health/ready").json()["digest"] == digest[-1]


def test_two_processes_give_the_same_answers_reload_together_and_replace_who_dies(
    start, folder, tmp_path
):
    place = shutil.copytree(folder, tmp_path / "model")
    served = start("--workers", 2, model=place)

    def answers(n=24):
        """Each on a connection of its own, so that both processes are asked."""
        url = f"{served.url}/v1/recommend"
        with ThreadPoolExecutor(4) as threads:
            some = [threads.submit(ask, "POST", url, json=ASKED) for _ in range(n)]
        return {(one.result().status_code, one.result().text) for one in some}

    def concept_names(n=30):
        with ThreadPoolExecutor(4) as threads:
            some = [threads.submit(ask, "GET", f"{served.url}/v1/concepts") for _ in range(n)]
        return {one.result().json()["concepts"][0]["name"] for one in some}

    first = answers()
    assert len(first) == 1
    children = _children(served.process.pid)
    assert len(children) == 2
    (place / "names.json").write_text('{"concepts": {"0": "sacks"}}')
    ask("POST", f"{served.url}/v1/admin/reload").raise_for_status()
    for _ in range(100):
        if len({line.split()[2] for line in served.log if "serving model" in line}) == 2:
            break  # both processes have said so
        time.sleep(0.1)
    assert concept_names() == {"sacks"}
    acknowledged, names = [], ["ada", "bob"]
    with crowd(2) as (threads, until):
        for name in names:
            threads.submit(write_on, served.url, name, until, acknowledged)
        await_more(acknowledged, 10)
        os.kill(children[0], signal.SIGKILL)
        began = time.monotonic()
        await_more(acknowledged, 10)  # by the other one
        for _ in range(300):
            now = _children(served.process.pid)
            if len(now) == 2 and children[0] not in now:
                break
            time.sleep(0.1)
        print(f"another process after {time.monotonic() - began:.1f} s")  # noqa: T201
        await_more(acknowledged, 10)
    there = kept(f"sqlite:///{tmp_path / 's.sqlite'}", names)
    assert {*acknowledged} <= {*there}
    assert len(there) == len({*there})
    assert answers() == first
    counted = ask("GET", f"{served.url}/metrics").text
    assert 'macrid_requests_total{method="POST",route="/v1/recommend",status="200"}' in counted
    assert served.stop() == 0


def _children(pid):
    """Processes that serve; multiprocessing has helpers beside them."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children if b"spawn_main" in _command(child)]


def _command(pid):
    with suppress(OSError):  # it has ended
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def write_on(url, name, until, acknowledged):
    """Events, each repeated with its key until it is acknowledged."""
    with httpx.Client(base_url=url, verify=PLAIN, timeout=5) as client:
        for number in range(100_000):
            if until.is_set():
                return
            event = {"user_id": name, "item_id": number, "timestamp": number}
            key = {"Idempotency-Key": f"{name}-{number}"}
            while not until.is_set():
                try:
                    answer = client.post("/v1/events", json={"events": [event]}, headers=key)
                    if answer.status_code == 200:
                        acknowledged.append((name, number))
                        break
                    assert answer.status_code == 503, answer.text
                except httpx.TransportError:
                    time.sleep(0.05)


def await_more(acknowledged, n):
    """Until so many more are acknowledged."""
    enough, began = len(acknowledged) + n, time.monotonic()
    while len(acknowledged) < enough:
        assert time.monotonic() - began < 60
        time.sleep(0.02)


def kept(store_url, names):
    """What the store holds, each event as often as it is there."""
    engine = open_engine(store_url)
    with engine.connect() as connection:  # all of it: a history is read as far as its bound
        rows = connection.execute(text("SELECT user_id, item_id FROM macrid_events")).all()
    engine.dispose()
    return [(name, int(number)) for name, number in rows if name in names]


def test_a_service_that_is_killed_has_lost_nothing_that_it_acknowledged(start, tmp_path):
    store = f"sqlite:///{tmp_path / 's.sqlite'}"
    served, names = start(), ["ada", "bob", "eve"]
    port, acknowledged = served.port, []
    with crowd(3) as (threads, until):
        for name in names:
            threads.submit(write_on, served.url, name, until, acknowledged)
        await_more(acknowledged, 10)
        served.kill()
        began = time.monotonic()
        start(port=port)
        recovered = time.monotonic() - began
        await_more(acknowledged, 10)
    there = kept(store, names)
    assert {*acknowledged} <= {*there}
    assert len(there) == len({*there})  # what was repeated was added once
    print(f"recovered in {recovered:.1f} s")  # noqa: T201


def test_a_database_that_is_killed_has_lost_nothing_and_lists_go_on(start, postgres):
    engine = open_engine(postgres.url)
    with engine.begin() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    engine.dispose()
    served, names = start(store=postgres.url), ["ada", "bob"]
    acknowledged = []
    with crowd(2) as (threads, until):
        for name in names:
            threads.submit(write_on, served.url, name, until, acknowledged)
        await_more(acknowledged, 10)
        postgres.kill()
        assert ask("POST", f"{served.url}/v1/recommend", json=ASKED).status_code == 200
        assert ask("GET", f"{served.url}/health/ready").status_code == 503
        began = time.monotonic()
        postgres.start()
        await_more(acknowledged, 10)
        recovered = time.monotonic() - began
    there = kept(postgres.url, names)
    assert {*acknowledged} <= {*there}
    assert len(there) == len({*there})
    print(f"recovered in {recovered:.1f} s")  # noqa: T201


def last_words(connection):
    """What is said on a connection until it is closed."""
    said = b""
    with suppress(ConnectionResetError):  # closed before it read our last letter
        while part := connection.recv(4096):
            said += part
    return said


def test_connections_that_say_nothing_are_closed_and_others_are_answered(served):
    heads = [b"", b"GET /health/live HTTP/1.1\r\nHost: x\r\nX-Slow: "]
    silent = [socket.create_connection(("127.0.0.1", served.port)) for _ in range(200)]
    for number, connection in enumerate(silent):
        connection.settimeout(20)
        connection.sendall(heads[number % 2])
    body = b"POST /v1/recommend HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"
    silent[0].sendall(body)  # a whole head, and a body that does not come
    assert ask("POST", f"{served.url}/v1/recommend", json=ASKED).status_code == 200
    time.sleep(1)
    silent[1].sendall(b"a")  # a letter now and then is no request
    began = time.monotonic()
    last = [last_words(connection) for connection in silent]
    assert time.monotonic() - began < 15
    assert b" 408 " in last[0]
    assert {*last[1:]} == {b""}
    for connection in silent:
        connection.close()
    assert ask("POST", f"{served.url}/v1/recommend", json=ASKED).status_code == 200


def test_a_head_without_end_is_not_kept(served):
    with socket.create_connection(("127.0.0.1", served.port), timeout=20) as connection:
        connection.sendall(b"GET /health/live HTTP/1.1\r\nX-Long: ")
        with suppress(ConnectionError):  # closed while we write
            for _ in range(64):
                connection.sendall(b"a" * 4096)
        said = last_words(connection)
    assert said.startswith(b"HTTP/1.1 400 ") or said == b""
    assert "more than 65,536 bytes" in said.decode() or said == b""


def test_a_service_that_is_stopped_finishes_what_it_has_begun(served):
    """The last test of this service."""
    everything = [f"{k}-{n:02d}" for k in range(3) for n in range(40)]
    asked = {"history": everything, "items": everything[:100]}
    clients = [httpx.Client(base_url=served.url, verify=PLAIN, timeout=60) for _ in range(8)]
    for client in clients:
        client.get("/health/live")
    late = socket.create_connection(("127.0.0.1", served.port), timeout=30)
    with ThreadPoolExecutor(8) as threads:
        some = [threads.submit(client.post, "/v1/explain", json=asked) for client in clients]
        time.sleep(0.1)
        served.process.terminate()
        late.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")  # it was on its way
        assert last_words(late).startswith(b"HTTP/1.1 200 ")
        late.close()
        answers = []
        for one in some:
            with suppress(httpx.TransportError):  # it had not begun
                answers.append(one.result())
    for client in clients:
        client.close()
    assert served.process.wait(30) in (0, -signal.SIGTERM)
    served.close()
    assert {answer.status_code for answer in answers} == {200}
    assert all(len(answer.json()["items"]) == 100 for answer in answers)
    log = "".join(served.log)
    assert log.count("POST /v1/explain 200") == len(answers)  # nobody was answered in vain
    assert "Traceback" not in log
