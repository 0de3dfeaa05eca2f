"""`make demo-crash`: what a rollback, a commit and `kill -9` do to messages; exit code 1 if one is lost.

The app of `main.py` runs as a process of its own, with its worker inside. The receiver is in this process; it checks
every request with `standardwebhooks`, a library of other people. Less than 40 seconds.
"""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from standardwebhooks import Webhook, WebhookVerificationError

HERE = Path(__file__).resolve().parent
ANSWERED = 200  # requests, before the receiver falls silent
WAITING = 1000  # deliveries that have no answer when the app is killed
CALLERS = 8
PATIENCE = 90.0


class Receiver:
    """Listens on loopback, checks signatures, counts by username; falls silent when told."""

    def __init__(self) -> None:
        self.arrived: Counter[str] = Counter()
        self.messages: Counter[str] = Counter()  # requests by the message's id
        self.forged = 0
        self.secret = ""
        self.answers = -1  # how many more are answered; negative: all
        self.silent = threading.Event()
        self.lock = threading.Lock()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler(self))
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/webhooks"

    def take(self, headers: dict[str, str], body: bytes) -> bool:
        """Check and count one request; say whether it is answered."""
        try:
            Webhook(self.secret).verify(body.decode(), headers)
        except WebhookVerificationError:
            self.forged += 1
        with self.lock:
            self.arrived[json.loads(body)["username"]] += 1
            self.messages[headers["webhook-id"]] += 1
            if self.answers == 0:
                self.silent.set()
                return False
            self.answers -= 1
            return True

    def fall_silent_after(self, answers: int) -> None:
        with self.lock:
            self.answers = answers
            self.silent.clear()

    def speak_again(self) -> None:
        with self.lock:
            self.answers = -1


def handler(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle(self) -> None:
            with suppress(ConnectionError):  # who calls is killed again and again
                super().handle()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if not receiver.take({name.lower(): value for name, value in self.headers.items()}, body):
                self.connection.recv(1)  # no answer, until the other side goes away
                self.close_connection = True
                return
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    return Handler


class App:
    """The app as a process: started, killed, started again."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.process: subprocess.Popen[bytes] | None = None
        self.connections = threading.local()  # one for each calling thread

    def start(self) -> None:
        command = [sys.executable, "-m", "uvicorn", "main:app", "--app-dir", HERE, "--port", str(self.port)]
        # Apart from the terminal: a Ctrl-C is for this program, which then ends the other.
        self.process = subprocess.Popen([*command, "--log-level", "error"], start_new_session=True)
        until("the app answers", lambda: self.process.poll() is not None or self.answers())

    def answers(self) -> bool:
        try:
            return self.request("GET", "/users/") == 200
        except OSError:
            return False

    def request(self, method: str, path: str, body: bytes = b"") -> int:
        connection = self.connections.__dict__.setdefault("one", http.client.HTTPConnection("127.0.0.1", self.port))
        try:
            connection.request(method, path, body, {"content-type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            return answer.status
        except OSError:
            connection.close()
            raise

    def subscribe(self, username: str) -> bool:
        """Post one subscription; say whether it was acknowledged."""
        body = {"username": username, "monthly_fee": 9.9, "start_date": "2026-12-01T12:00:00Z"}
        return self.request("POST", "/subscriptions", json.dumps(body).encode()) == 201

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait()

    def abandon(self) -> None:
        """End at once, whatever is in flight."""
        if self.process is not None:
            self.kill()


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="anzol-demo-") as folder:
        os.chdir(folder)
        return show()


def show() -> int:
    began = time.monotonic()
    for name in [name for name in os.environ if name.startswith("ANZOL_")]:
        del os.environ[name]
    os.environ["FASTAPI_ENV"] = "development"  # or deliveries to this machine itself are refused
    receiver, app = Receiver(), App(free_port())
    try:
        import main as example  # needs the folder: it makes its database where it is run

        register(example.webhooks, receiver)
        app.start()
        rollback_sends_nothing(example, app, receiver)
        commit_arrives(app, receiver)
        crash_loses_nothing(app, receiver)
        every_request_is_recorded(example.webhooks, receiver)
        check(receiver.arrived["rolled-back"] == 0, "the rolled-back message has not arrived to this moment")
        check(receiver.forged == 0, "every signature was right")
    except Failed as failed:
        print(f"  ✗ {failed}", flush=True)
        return 1
    except KeyboardInterrupt:
        app.abandon()
        print("\nStopped before the end; this shows nothing.", flush=True)
        return 130
    finally:
        app.stop()
    print(f"\nNothing was lost. {time.monotonic() - began:.0f} seconds.", flush=True)
    return 0


def register(webhooks, receiver: Receiver) -> None:
    endpoint = webhooks.wait(webhooks.endpoints.create("acme", url=receiver.url))
    receiver.secret = webhooks.wait(webhooks.endpoints.secret(endpoint.id))


def rollback_sends_nothing(example, app: App, receiver: Receiver) -> None:
    say("A transaction that sends a webhook, and is rolled back.")
    with example.Session(example.engine) as session:
        session.add(example.User(username="rolled-back"))
        body = example.Subscription(username="rolled-back", monthly_fee=1, start_date="2026-12-01T12:00:00Z")
        example.webhooks.to("acme", session=session).send_sync(example.new_subscription, body)
        session.rollback()
    # What was sent before arrives before: once this one is there, the other would have been.
    app.subscribe("after-the-rollback")
    until("the next message arrives", lambda: receiver.arrived["after-the-rollback"])
    check(receiver.arrived["rolled-back"] == 0, "nothing was sent")


def commit_arrives(app: App, receiver: Receiver) -> None:
    say("A subscription that is committed.")
    app.subscribe("committed")
    until("it arrives", lambda: receiver.arrived["committed"])
    check(receiver.forged == 0, "it arrived, and standardwebhooks accepts its signature")


def crash_loses_nothing(app: App, receiver: Receiver) -> None:
    names = [f"user-{number:04}" for number in range(ANSWERED + WAITING)]
    say(f"{len(names):,} subscriptions; the receiver answers {ANSWERED} and falls silent; kill -9.")
    receiver.fall_silent_after(ANSWERED)
    acknowledged = subscribe_all(app, names)
    check(acknowledged == names, f"the app acknowledged {len(acknowledged):,}")
    until("the receiver falls silent", receiver.silent.is_set)
    app.kill()
    print(f"  ✓ killed with {WAITING:,} waiting, {seen(receiver, names) - ANSWERED} of them in flight", flush=True)
    receiver.speak_again()
    app.start()
    say("Started again. What the dead worker held is taken over: at once where it is seen that its process has ended")
    print("(Linux), otherwise when its lease ends, in 30 seconds at most.", flush=True)
    until("all arrive", lambda: seen(receiver, names) == len(names))
    arrived = seen(receiver, names) - ANSWERED
    twice = sum(1 for name in names if receiver.arrived[name] > 1)
    check(arrived == WAITING, f"{arrived:,} of {WAITING:,} arrived; {twice} of them twice: those in flight")


def subscribe_all(app: App, names: list[str]) -> list[str]:
    """Post a subscription for each name, several at a time; return the names that were acknowledged."""
    callers = ThreadPoolExecutor(CALLERS)
    try:
        return [name for name, done in zip(names, callers.map(app.subscribe, names), strict=True) if done]
    finally:
        callers.shutdown(wait=False, cancel_futures=True)  # a Ctrl-C does not wait for the rest


def every_request_is_recorded(webhooks, receiver: Receiver) -> None:
    say("Every request that the receiver saw, compared with the attempts on record.")

    async def count() -> Counter[str]:
        return Counter([attempt.message_id async for attempt in webhooks.attempts.all("acme")])

    def missing() -> int:
        recorded = webhooks.wait(count())
        return sum(max(0, requests - recorded[message]) for message, requests in receiver.messages.items())

    until("all are recorded", lambda: missing() == 0)
    check(missing() == 0, f"{receiver.messages.total():,} requests, each with its attempt")


def seen(receiver: Receiver, names: list[str]) -> int:
    return sum(1 for name in names if receiver.arrived[name])


class Failed(Exception):
    """What was to be shown did not hold."""


def say(text: str) -> None:
    print(f"\n{text}", flush=True)


def check(holds: bool, text: str) -> None:
    if not holds:
        raise Failed(f"not so: {text}")
    print(f"  ✓ {text}", flush=True)


def until(what: str, holds) -> None:
    """Wait, for a bounded time, until something holds."""
    end = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > end:
            raise Failed(f"waited {PATIENCE:.0f} seconds in vain until {what}")
        time.sleep(0.05)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


if __name__ == "__main__":
    sys.exit(main())
