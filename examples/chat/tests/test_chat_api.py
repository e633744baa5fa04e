"""What a visitor can do over HTTP."""

import contextlib
import http.server
import json
import threading
import time
import uuid

import httpx
import pytest

pytestmark = pytest.mark.dock


def test_two_people_meet_in_a_conversation(a_task, visitor):
    alice, bob = visitor(a_task, "alice"), visitor(a_task, "Bob")
    opened = alice.post("/api/conversations", json={"title": "Tea", "members": ["bob"]})
    assert opened.status_code == 201, opened.text
    assert opened.json()["members"] == ["Bob", "alice"]
    path = f"/api/conversations/{opened.json()['id']}/messages"

    posted = alice.post(path, json={"client_id": str(uuid.uuid4()), "text": "Milk? ☕"})
    assert (posted.status_code, posted.json()["number"]) == (201, 1)

    seen = bob.get(path).json()["messages"]
    assert [(m["author"], m["text"]) for m in seen] == [("alice", "Milk? ☕")]
    assert [c["title"] for c in bob.get("/api/conversations").json()["conversations"]] == ["Tea"]


def test_a_message_sent_twice_is_posted_once(a_task, visitor):
    alice = visitor(a_task, "alice")
    path = f"/api/conversations/{alice.post('/api/conversations', json={'title': 'T'}).json()['id']}/messages"
    again = {"client_id": str(uuid.uuid4()), "text": "once"}
    first, second = alice.post(path, json=again), alice.post(path, json=again)
    third = alice.post(path, json={"client_id": str(uuid.uuid4()), "text": "next"})
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json() == second.json()
    assert third.json()["number"] == 2, "a repeated post must not use up a number"
    assert len(alice.get(path).json()["messages"]) == 2


def test_recent_messages_come_from_the_cache_and_are_complete(a_task, visitor):
    alice = visitor(a_task, "alice")
    path = f"/api/conversations/{alice.post('/api/conversations', json={'title': 'T'}).json()['id']}/messages"
    for n in range(60):
        alice.post(path, json={"client_id": str(uuid.uuid4()), "text": f"message {n}"}).raise_for_status()
    for _ in range(3):
        assert [m["number"] for m in alice.get(path).json()["messages"]] == list(range(11, 61))
    assert [m["number"] for m in alice.get(path, params={"after": 58}).json()["messages"]] == [59, 60]
    assert 'chat_recent_reads_total{result="hit"} ' in a_task.get("/metrics").text


def test_a_stranger_sees_and_posts_nothing(a_task, visitor):
    alice, mallory = visitor(a_task, "alice"), visitor(a_task, "mallory")
    path = f"/api/conversations/{alice.post('/api/conversations', json={'title': 'T'}).json()['id']}"
    body = {"client_id": str(uuid.uuid4()), "text": "hello"}
    assert mallory.get(f"{path}/messages").status_code == 404
    assert mallory.post(f"{path}/messages", json=body).status_code == 404
    assert mallory.post(f"{path}/members", json={"name": "mallory"}).status_code == 404
    assert mallory.get("/api/conversations").json() == {"conversations": []}
    assert a_task.get(f"{path}/messages").status_code == 401


def test_logging_in_and_out(a_task, visitor):
    alice = visitor(a_task, "alice")
    assert alice.get("/api/session").json()["name"] == "alice"
    kept = dict(alice.cookies)
    assert alice.delete("/api/session").status_code == 204
    assert a_task.get("/api/session", cookies=kept).status_code == 401, (
        "a stolen cookie must be of no use after log out"
    )

    wrong = alice.post("/api/session", json={"name": "alice", "password": "wrong horse"})
    unknown = alice.post("/api/session", json={"name": "nobody", "password": "wrong horse"})
    assert (wrong.status_code, wrong.json()["error"]) == (401, unknown.json()["error"])
    right = alice.post("/api/session", json={"name": "ALICE", "password": "correct horse"})
    assert right.status_code == 200
    assert alice.get("/api/session").status_code == 200
    assert "HttpOnly" in right.headers["set-cookie"]
    assert "SameSite=lax" in right.headers["set-cookie"]
    assert "Secure" not in right.headers["set-cookie"]
    behind_tls = alice.post(
        "/api/session",
        json={"name": "alice", "password": "correct horse"},
        headers={"x-forwarded-proto": "https"},
    )
    assert "Secure" in behind_tls.headers["set-cookie"]


def test_guessing_passwords_is_slowed_down(a_task, visitor):
    alice = visitor(a_task, "alice" + uuid.uuid4().hex[:8])
    guesses = [
        alice.post("/api/session", json={"name": alice.name, "password": f"guess number {n}"}).status_code
        for n in range(12)
    ]
    assert guesses == [401] * 10 + [429] * 2


def test_a_name_can_be_taken_only_once(a_task, visitor):
    alice = visitor(a_task, "alice")
    again = alice.post("/api/accounts", json={"name": "Alice", "password": "another horse"})
    assert (again.status_code, again.json()["error"]["code"]) == (409, "name_taken")


def test_a_character_greets(a_task, visitor):
    alice = visitor(a_task, "alice")
    made = alice.post("/api/characters", json={"name": "Momo", "greeting": "Welcome aboard.", "colour": "#aa5533"})
    assert made.status_code == 201, made.text
    assert [c["name"] for c in alice.get("/api/characters").json()["characters"]] == ["Momo"]
    opened = alice.post("/api/conversations", json={"title": "With Momo", "character_id": made.json()["id"]}).json()
    assert opened["character"] == "Momo"
    (greeting,) = alice.get(f"/api/conversations/{opened['id']}/messages").json()["messages"]
    assert (greeting["author"], greeting["from_character"], greeting["text"]) == ("Momo", True, "Welcome aboard.")
    nobody = alice.post("/api/conversations", json={"title": "T", "character_id": str(uuid.uuid4())})
    assert (nobody.status_code, nobody.json()["error"]["code"]) == (422, "unknown_character")
    assert "chat_characters_created_total 1.0" in a_task.get("/metrics").text


def test_payments_succeed_fail_and_are_not_made_twice(a_task, visitor):
    alice = visitor(a_task, "alice")
    good = {"payment_id": str(uuid.uuid4()), "amount_cents": 500, "card_number": "4242 4242 4242 4242"}
    bad = {"payment_id": str(uuid.uuid4()), "amount_cents": 700, "card_number": "4000000000000002"}
    answers = [alice.post("/api/payments", json=payment).status_code for payment in (good, good, bad, bad)]
    assert answers == [201, 200, 402, 402]
    recorded = alice.get("/api/payments").json()["payments"]
    assert sorted((p["amount_cents"], p["card_last_four"], p["outcome"]) for p in recorded) == [
        (500, "4242", "succeeded"),
        (700, "0002", "failed"),
    ]
    metrics = a_task.get("/metrics").text
    assert 'chat_payments_total{outcome="succeeded"} 1.0' in metrics
    assert 'chat_payments_total{outcome="failed"} 1.0' in metrics

    assert alice.post("/api/payments", json=good | {"amount_cents": 9900}).status_code == 409
    real_card = good | {"payment_id": str(uuid.uuid4()), "card_number": "5105105105105100"}
    assert alice.post("/api/payments", json=real_card).json()["error"]["code"] == "unknown_card"
    log = a_task.log.read_text()
    assert '"outcome": "failed"' in log
    assert "42424242" not in log.replace(" ", "")
    assert "51051051" not in log


def test_a_message_gets_a_voice(a_task, visitor):
    alice = visitor(a_task, "alice")
    path = f"/api/conversations/{alice.post('/api/conversations', json={'title': 'T'}).json()['id']}/messages"
    alice.post(path, json={"client_id": str(uuid.uuid4()), "text": "sing"})
    assert alice.post(f"{path}/1/voice").status_code == 202
    deadline = time.monotonic() + 10
    while (voice := alice.post(f"{path}/1/voice")).status_code == 202:
        assert time.monotonic() < deadline, "the synthesiser did not drain its queue"
        time.sleep(0.1)
    assert voice.headers["content-type"] == "audio/wav"
    assert voice.content.startswith(b"RIFF")
    assert alice.post(f"{path}/2/voice").status_code == 404


def test_a_topic_can_be_changed_where_the_release_has_topics(a_task, visitor, environment, start_task):
    alice = visitor(a_task, "alice")
    path = f"/api/conversations/{alice.post('/api/conversations', json={'title': 'T'}).json()['id']}/topic"
    assert alice.put(path, json={"topic": "Boats"}).status_code == 204
    assert alice.get("/api/conversations").json()["conversations"][0]["topic"] == "Boats"

    without = start_task(environment | {"CHAT_FEATURES": ""})
    assert without.get("/api/version").json()["features"] == []
    alice.base_url = without.url
    assert alice.put(path, json={"topic": "Boats"}).status_code == 404
    assert alice.get("/api/conversations").json()["conversations"][0]["topic"] is None


NONSENSE = [
    (b"", 422),
    (b"{", 422),
    (b"[]", 422),
    (b'{"client_id": "1", "text": "t"}', 422),
    (b'{"client_id": "6c8e5f0a-9d2b-4a7e-8a10-1f4f8f6f0b11", "text": ""}', 422),
    (b'{"client_id": "6c8e5f0a-9d2b-4a7e-8a10-1f4f8f6f0b11", "text": "a\\u0000b"}', 422),
    (b'{"client_id": "6c8e5f0a-9d2b-4a7e-8a10-1f4f8f6f0b11", "text": "\\ud800"}', 422),
    (b'{"client_id": "6c8e5f0a-9d2b-4a7e-8a10-1f4f8f6f0b11", "text": "t", "admin": true}', 422),
    (b'{"text": "' + b"x" * 70_000 + b'"}', 413),
    (b"\xff\xfe", 422),
]


def test_nonsense_is_refused_and_never_a_server_error(a_task, visitor):
    alice = visitor(a_task, "alice")
    path = f"/api/conversations/{alice.post('/api/conversations', json={'title': 'T'}).json()['id']}/messages"
    kind = {"content-type": "application/json"}
    for body, status in NONSENSE:
        answer = alice.post(path, content=body, headers=kind)
        assert answer.status_code == status, (body[:80], answer.text)
        assert answer.json()["error"]["message"]
        assert answer.json()["request_id"] == answer.headers["x-request-id"]
    form = alice.post(path, data={"client_id": "x", "text": "y"})
    assert form.json()["error"]["code"] == "not_json"
    for after in ("-1", "x", "9" * 30, "१"):
        assert alice.get(path, params={"after": after}).status_code == 422
    assert alice.get("/api/conversations/not-an-id/messages").status_code == 404
    assert alice.get("/api/nothing").json()["error"]["code"] == "not_found"
    assert alice.delete("/api/characters").status_code == 405


def test_no_password_or_token_reaches_the_log(a_task, visitor):
    alice = visitor(a_task, "alice")
    alice.post("/api/session", json={"name": "alice", "password": "canary-of-a-visitor"})
    alice.post("/api/accounts", json={"name": "!", "password": "canary-of-a-visitor"})
    token = alice.cookies["session"]
    alice.get("/api/session")
    log = a_task.log.read_text()
    assert '"route": "/api/session"' in log
    for secret in ("canary", "correct horse", token):
        assert secret not in log


def test_a_task_listens_on_the_address_that_its_agent_names_and_nowhere_else(environment, start_task, free_port_number):
    class Agent(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = {"TaskARN": "arn:aws:ecs:us-east-1:000000000001:task/local/abcdef0123456789"}
            found["Containers"] = [{"Networks": [{"IPv4Addresses": ["127.77.8.9"]}]}]
            self.send_response(200 if self.path == "/v4/abc/task" else 404)
            self.end_headers()
            self.wfile.write(json.dumps(found).encode())

        def log_message(self, *_: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Agent) as agent:
        threading.Thread(target=agent.serve_forever, daemon=True).start()
        port = free_port_number()
        uri = f"http://127.0.0.1:{agent.server_port}/v4/abc"
        start_task(environment | {"ECS_CONTAINER_METADATA_URI_V4": uri}, wait=False, PORT=str(port))
        deadline = time.monotonic() + 15
        while True:
            with contextlib.suppress(httpx.ConnectError):
                answer = httpx.get(f"http://127.77.8.9:{port}/api/ping", timeout=5)
                break
            assert time.monotonic() < deadline
            time.sleep(0.05)
        agent.shutdown()
    assert answer.headers["x-task"] == "abcdef0123456789"
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/api/ping", timeout=5)
