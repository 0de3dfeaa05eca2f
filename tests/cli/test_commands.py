"""Looking and mending from a terminal: each command for people, with --json, and with what it must refuse."""

from __future__ import annotations

import json
import logging
import re
import signal
import sqlite3
import subprocess
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from anzol.cli.looking import worker_line
from anzol.errors import InvalidValue
from anzol.model import WorkerCard
from anzol.signing import SigningKey
from tests.cli.conftest import ANZOL, Receiver, World, environment, until


@pytest.fixture
def dev(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let deliveries go to loopback."""
    monkeypatch.setenv("FASTAPI_ENV", "development")


@pytest.fixture
def endpoint(world: World, dev: None, receiver: Receiver) -> str:
    made: str = world.data("endpoints", "create", "-c", "acme", "--url", receiver.url)["endpoint"]["id"]
    return made


def sent(world: World, *more: str) -> str:
    message: str = world.data("trigger", "new-subscription", "--customer", "acme", *more)["id"]
    return message


def delivered(world: World) -> None:
    assert world.call("worker", "--once").exit_code == 0


# --- events


def test_the_declared_webhooks_are_listed(world: World) -> None:
    shown = world.call("events", "list").stdout
    items = world.data("events", "list")["items"]

    assert "new-subscription" in shown
    assert "billing" in shown
    assert [(one["name"], one["method"], one["deprecated"]) for one in items] == [
        ("new-subscription", "POST", False),
        ("invoice.paid", "POST", True),
    ]


# --- endpoints


def test_an_endpoint_is_made_with_everything_and_its_secret_shown(world: World, dev: None, receiver: Receiver) -> None:
    options = [
        "--customer",
        "acme",
        "--url",
        receiver.url,
        "-t",
        "new-subscription",
        "--channel",
        "eu",
        "--throttle",
        "5",
    ]
    more = ["-H", "X-Team: a: b", "--description", "Staging", "--fifo", "--contact", "ops@example.com", "--uid", "e1"]

    made = world.data("endpoints", "create", *options, *more)
    shown = world.call("endpoints", "show", made["endpoint"]["id"]).stdout

    endpoint = made["endpoint"]
    assert SigningKey.parse(made["secret"])
    assert (endpoint["event_types"], endpoint["channels"], endpoint["throttle"]) == (["new-subscription"], ["eu"], 5)
    assert (endpoint["fifo"], endpoint["uid"], endpoint["headers"]) == (True, "e1", ["x-team"])
    for text in (endpoint["id"], receiver.url, "Staging", "5 a second", "ops@example.com", "x-team"):
        assert text in shown
    assert "a: b" not in shown


def test_endpoints_are_listed_for_people_and_page_by_page(world: World, dev: None, receiver: Receiver) -> None:
    for number in range(3):
        world.data("endpoints", "create", "-c", f"c{number}", "--url", receiver.url)

    first = world.data("endpoints", "list", "--limit", "2")
    rest = world.data("endpoints", "list", "--limit", "2", "--after", first["next"])
    shown = world.call("endpoints", "list", "--limit", "2")

    assert [one["customer"] for one in first["items"] + rest["items"]] == ["c2", "c1", "c0"]
    assert f"--after {first['next']}" in shown.stderr
    assert len(world.data("endpoints", "list", "-c", "c1")["items"]) == 1


def test_an_endpoint_is_changed_parked_released_and_deleted(world: World, endpoint: str, receiver: Receiver) -> None:
    assert world.data("endpoints", "update", endpoint, "--throttle", "7", "-t", "invoice.paid")["throttle"] == 7
    changed = world.data("endpoints", "update", endpoint, "--throttle", "0", "--all-event-types")
    assert (changed["throttle"], changed["event_types"]) == (None, [])
    assert world.data("endpoints", "disable", endpoint)["enabled"] is False
    assert "disabled (by_operator)" in world.call("endpoints", "list").stdout
    assert world.data("endpoints", "enable", endpoint)["enabled"] is True

    preview = world.call("endpoints", "delete", endpoint)
    assert "would be deleted" in preview.stdout
    assert world.data("endpoints", "show", endpoint)["id"] == endpoint
    assert world.data("endpoints", "delete", endpoint, "--yes")["done"] is True
    assert world.call("endpoints", "show", endpoint).exit_code == 4


def test_a_secret_is_shown_alone_on_the_first_line_and_rotated(world: World, endpoint: str) -> None:
    old = world.call("endpoints", "secret", endpoint).stdout.splitlines()[0]

    rotated = world.call("endpoints", "rotate", endpoint, "--keep-old", "1h").stdout.splitlines()
    secrets = world.data("endpoints", "secret", endpoint)["items"]

    assert rotated[0] != old
    assert rotated[1].startswith(f"{old}  signs until ")
    assert [secret["value"] for secret in secrets] == [rotated[0], old]
    assert len(world.data("endpoints", "rotate", endpoint, "--keep-old", "0")["items"]) == 1


# --- sending, delivering, looking


def test_what_is_triggered_is_delivered_and_seen(world: World, endpoint: str, receiver: Receiver) -> None:
    message = sent(world)
    assert world.data("status")["accepted_waiting"] == 1
    once = world.call("worker", "--once")

    assert "✓ new-subscription" in once.stdout
    assert "1 attempt made" in once.stdout
    assert json.loads(receiver.bodies[0]) == {"username": "string", "monthly_fee": 9.9}
    [attempt] = world.data("attempts")["items"]
    assert (attempt["message_id"], attempt["endpoint_id"], attempt["outcome"]) == (message, endpoint, "ok")
    assert message in world.call("attempts").stdout
    assert message in world.call("messages").stdout
    whole = world.data("messages", message)
    assert [one["state"] for one in whole["deliveries"]] == ["delivered"]
    shown = world.call("messages", message).stdout
    assert '{"username":"string","monthly_fee":9.9}' in shown
    assert "delivered" in shown


def test_a_body_of_one_s_own_is_checked_and_sent_to_one_endpoint_alone(
    world: World, endpoint: str, receiver: Receiver
) -> None:
    world.data("endpoints", "create", "-c", "acme", "--url", f"{receiver.url}/other")

    world.data("trigger", "new-subscription", "--endpoint", endpoint, "--data", '{"username": "zoé"}')
    delivered(world)

    assert [json.loads(body) for body in receiver.bodies] == [{"username": "zoé", "monthly_fee": 9.9}]


def test_what_no_endpoint_gets_is_accepted_and_said(world: World) -> None:
    shown = world.call("trigger", "new-subscription", "--customer", "nobody")

    assert "accepted" in shown.stdout
    assert "a worker delivers it" not in shown.stdout
    assert "the customer has none" in shown.stderr


def test_why_an_endpoint_did_not_get_a_message_is_said(world: World, dev: None, receiver: Receiver) -> None:
    world.data("endpoints", "create", "-c", "acme", "--url", receiver.url, "-t", "invoice.paid")
    message = sent(world)
    delivered(world)

    assert "not sent: event_type" in world.call("messages", message).stdout
    assert world.data("messages", message)["matches"][0]["reason"] == "event_type"


def test_a_message_that_nobody_gets_says_so(world: World) -> None:
    message = sent(world)

    assert "it goes nowhere" in world.call("messages", message).stdout


def test_lists_are_narrowed(world: World, endpoint: str, receiver: Receiver) -> None:
    sent(world)
    delivered(world)
    receiver.answer = 503
    second = sent(world)
    delivered(world)

    assert [one["message_id"] for one in world.data("attempts", "--failed")["items"]] == [second]
    assert [one["status"] for one in world.data("attempts", "--outcome", "http_status")["items"]] == [503]
    assert world.data("attempts", "--outcome", "timeout")["items"] == []
    assert len(world.data("attempts", "--message", second, "--endpoint", endpoint)["items"]) == 1
    assert len(world.data("messages", "--since", "1h", "--customer", "acme")["items"]) == 2
    assert world.data("messages", "--until", "1h")["items"] == []
    assert world.data("messages", "--customer", "other")["items"] == []
    assert world.call("messages", "--customer", "other").stdout == "No messages.\n"
    assert world.call("attempts", "--outcome", "timeout").stdout == "No attempts.\n"


def test_the_database_alone_is_enough_to_look_and_mend(world: World, endpoint: str) -> None:
    message = sent(world)
    delivered(world)
    (world.folder / "main.py").unlink()
    url = f"sqlite:///{world.folder}/anzol.db"

    assert world.data("messages", "--database", url)["items"][0]["id"] == message
    assert world.call("resend", message, endpoint, "--database", url).exit_code == 0
    assert world.data("messages")["items"][0]["id"] == message  # anzol.db is here
    assert world.call("worker", "--once", "--database", url).exit_code == 0
    assert len(world.data("attempts", "--database", url)["items"]) == 2


# --- mending


def test_one_delivery_is_made_again(world: World, endpoint: str, receiver: Receiver) -> None:
    message = sent(world)
    delivered(world)

    assert world.data("resend", message, endpoint)["state"] == "pending"
    assert "due again" in world.call("resend", message, endpoint).stdout
    delivered(world)

    assert len(receiver.bodies) == 2


def test_what_was_cancelled_is_recovered_after_a_preview(world: World, endpoint: str, receiver: Receiver) -> None:
    receiver.answer = 503
    sent(world)
    delivered(world)

    assert world.call("cancel", "-c", "acme").stdout == "1 delivery would be cancelled; add --yes to do it\n"
    assert world.data("cancel", "-c", "acme", "--yes") == {"deliveries": 1, "done": True}
    assert world.data("recover", "-c", "acme", "--since", "1h", "--state", "cancelled") == {
        "deliveries": 1,
        "done": False,
    }
    assert world.data("recover", "-c", "acme", "--since", "1h", "--state", "cancelled", "--yes")["done"] is True
    receiver.answer = 204
    delivered(world)

    assert world.data("attempts", "--outcome", "ok")["items"]


def test_pausing_holds_back_and_resuming_lets_go(world: World, endpoint: str, receiver: Receiver) -> None:
    sent(world)
    assert "would be paused" in world.call("pause", "-c", "acme").stdout
    assert world.call("pause", "-c", "acme", "--yes").stdout == "paused: customer acme\n"
    delivered(world)
    assert receiver.bodies == []
    assert "customer acme" in world.call("resume").stdout
    assert world.data("resume")["items"][0]["actor"].startswith("cli")
    assert "add --yes" in world.call("resume", "-c", "acme").stderr
    assert world.call("resume").stderr == ""

    assert world.call("resume", "-c", "other", "--yes").exit_code == 4
    assert world.data("resume", "-c", "acme", "--yes") == {"rules": 1}
    delivered(world)

    assert len(receiver.bodies) == 1
    assert world.call("resume").stdout == "Nothing is paused.\n"


def test_everything_can_be_paused(world: World, endpoint: str) -> None:
    assert world.call("pause", "--all", "--yes").stdout == "paused: everything\n"
    assert world.call("resume", "--all", "--yes").stdout == "resumed: everything\n"


# --- status


def test_status_says_that_work_is_overdue_and_nobody_works(world: World, endpoint: str) -> None:
    sent(world)

    result = world.call("status")

    assert result.exit_code == 1
    assert "none; work is overdue: start `anzol worker`" in result.stdout
    assert re.search(r"longest due   \S+ \S+, for \d+ m?s\n", result.stdout)
    delivered(world)
    assert world.call("status").exit_code == 0


def test_status_shows_a_worker_with_its_lease() -> None:
    began = datetime(2026, 11, 23, 14, tzinfo=UTC)
    card = WorkerCard(7, "web-1\x1b[2J", 812, "0.1.0", began, began + timedelta(seconds=70), lanes=1, in_flight=12)

    line = worker_line(card, began + timedelta(seconds=43))

    assert line == (
        "worker 7      web-1\\x1b[2J, process 812, Anzol 0.1.0, since 2026-11-23 14:00:00Z, 1 lane, 12 in flight, "
        "lease for 27 s more"
    )


# --- worker


def start_worker(world: World, *arguments: str, **changes: str) -> subprocess.Popen[str]:
    command = [ANZOL, "worker", *arguments]
    surroundings = environment(FASTAPI_ENV="development", **changes)
    return subprocess.Popen(
        command, cwd=world.folder, env=surroundings, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_delivers_until_a_signal_and_leaves_in_good_order(
    world: World, endpoint: str, receiver: Receiver, number: signal.Signals
) -> None:
    worker = start_worker(world, "--json")
    try:
        until(lambda: world.data("status")["workers"], "it is enlisted")
        message = sent(world)
        until(lambda: receiver.bodies, "it delivers")
        worker.send_signal(number)
        out, err = worker.communicate(timeout=30)
    finally:
        worker.kill()
        worker.communicate()

    assert worker.returncode == 0
    assert [json.loads(line)["message_id"] for line in out.splitlines()] == [message]
    assert "Ctrl-C stops it" in err
    assert "Traceback" not in err
    assert world.data("status")["workers"] == []


def test_a_second_signal_stops_a_worker_at_once(world: World, endpoint: str, receiver: Receiver) -> None:
    receiver.silent.set()
    sent(world)
    # After one signal it would wait for the answer: five minutes and five seconds.
    worker = start_worker(world, ANZOL_DELIVERY_TIMEOUT="5m")
    try:
        until(lambda: receiver.bodies, "a request is in flight")
        worker.send_signal(signal.SIGTERM)
        assert worker.stderr is not None
        until(lambda: "Finishing" in worker.stderr.readline(), "the first signal is taken")
        worker.send_signal(signal.SIGTERM)
        worker.communicate(timeout=30)
    finally:
        receiver.silent.clear()
        worker.kill()
        worker.communicate()

    assert worker.returncode == 1


# --- migrate, adopt


def test_migrate_makes_the_tables_and_check_says_whether_it_is_needed(world: World) -> None:
    assert world.call("migrate", "--check").exit_code == 1
    assert not (world.folder / "anzol.db").exists()
    assert "create table anzol_endpoint" in world.call("migrate", "--sql").stdout

    made = world.data("migrate")
    assert (made["version"], made["done"]) == (0, True)
    assert made["newest"] >= 1

    again = world.call("migrate", "--check")
    assert again.exit_code == 0
    assert "up to date" in again.stdout
    assert world.call("migrate", "--sql").stdout == "-- nothing is missing\n"


def test_the_printed_sql_is_what_migrate_does(world: World) -> None:
    sql = world.data("migrate", "--sql")["sql"]
    world.data("migrate")

    with closing(sqlite3.connect(":memory:")) as by_hand, closing(sqlite3.connect("anzol.db")) as by_us:
        by_hand.executescript(sql)
        names = "select type, name, sql from sqlite_master where name not like 'sqlite_%' order by name"
        assert by_hand.execute(names).fetchall() == by_us.execute(names).fetchall()
        versions = "select version, name from anzol_migration"
        assert by_hand.execute(versions).fetchall() == by_us.execute(versions).fetchall()


def test_the_outbox_table_is_made_in_somebody_else_s_database(world: World) -> None:
    sqlite3.connect("shop.db").close()
    url = "sqlite:///shop.db"

    assert world.call("migrate", "--outbox", url, "--check").exit_code == 1
    assert "create table if not exists anzol_outbox" in world.call("migrate", "--outbox", url, "--sql").stdout
    assert world.data("migrate", "--outbox", url) == {"made": True}
    assert world.data("migrate", "--outbox", url) == {"made": False}
    assert world.call("migrate", "--outbox", url, "--check").exit_code == 0


def test_workers_are_told_of_an_outbox_that_sends_cannot_tell_of(world: World) -> None:
    sqlite3.connect("shop.db").close()
    world.data("migrate", "--outbox", url := "sqlite:///shop.db")
    before = Path("anzol.db").exists()
    world.data("migrate", "--outbox", url, "--register")

    with closing(sqlite3.connect("anzol.db")) as connection:
        known = connection.execute("select count(*) from anzol_outbox_source").fetchone()
    assert not before
    assert known == (1,)


def test_the_outbox_s_sql_speaks_the_database_s_dialect(world: World) -> None:
    assert "LONGBLOB" in world.call("migrate", "--outbox", "mysql+aiomysql://h/shop", "--sql").stdout.upper()


def test_a_lost_key_file_has_a_way_out(
    world: World, endpoint: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    (world.folder / "anzol.key").unlink()
    refused = world.call("status")
    monkeypatch.setenv("ANZOL_SECRET_KEY", "a key of which nobody has thought before")
    world.data("adopt", "--yes")

    assert refused.exit_code == 5
    assert "set another one and run `anzol adopt`" in refused.stderr
    assert world.data("endpoints", "show", endpoint)["enabled"] is False
    assert world.call("endpoints", "rotate", endpoint).exit_code == 0
    assert world.call("endpoints", "enable", endpoint).exit_code == 0
    sent(world)
    delivered(world)
    assert len(receiver.bodies) == 1


def test_a_copied_database_is_refused_until_it_is_adopted(
    world: World, endpoint: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent(world)
    monkeypatch.setenv("ANZOL_DEPLOYMENT", "staging")

    refused = world.call("messages")
    assert refused.exit_code == 5
    assert "anzol adopt --withdraw-pending" in refused.stderr
    assert "add --yes" in world.call("adopt", "--withdraw-pending").stdout
    assert world.data("adopt", "--withdraw-pending", "--yes")["withdrawn"] == 1
    delivered(world)

    assert receiver.bodies == []


# --- what is refused


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["trigger", "new-subscription"], 2, "Give --customer or --endpoint"),
        (["trigger", "new-subscription", "-c", "a", "-e", "ep_1"], 2, "Give --customer or --endpoint"),
        (["trigger", "new-subscriptio", "-c", "acme"], 4, "'new-subscription'"),
        (["trigger", "new-subscription", "-c", "acme", "--data", "{"], 2, "--data is not JSON"),
        (["trigger", "new-subscription", "-c", "acme", "--data", '{"username": 1}'], 2, "username"),
        (["trigger", "new-subscription", "-c", " "], 2, "customer's id"),
        (["trigger", "new-subscription", "-e", "ep_" + "0" * 22], 4, "endpoint"),
        (["trigger"], 2, "Missing argument"),
        (["messages", "msg_" + "0" * 22], 4, "msg_"),
        (["messages", "nonsense"], 4, "nonsense"),
        (["messages", "--since", "soon"], 2, "neither a time nor an age"),
        (["messages", "--limit", "0"], 2, "--limit"),
        (["messages", "--limit", "1000"], 2, "--limit"),
        (["attempts", "--outcome", "lost"], 2, "There is no outcome 'lost'"),
        (["resend", "msg_" + "0" * 22, "ep_" + "0" * 22], 4, "msg_"),
        (["recover", "-c", "acme"], 2, "Give --since"),
        (["recover", "--since", "1h"], 2, "Give --customer or --endpoint"),
        (["recover", "--since", "1h", "-c", "acme", "--state", "pending"], 2, "no ended state 'pending'"),
        (["pause"], 2, "or --all"),
        (["resume", "--yes"], 2, "or --all"),
        (["cancel"], 2, "Give --customer"),
        (["endpoints", "create", "-c", "acme"], 2, "Missing option '--url'"),
        (["endpoints", "create", "-c", "acme", "--url", "ftp://example.com"], 2, "http"),
        (["endpoints", "create", "-c", "acme", "--url", "http://10.0.0.1/"], 2, "10.0.0.1"),
        (["endpoints", "create", "-c", "acme", "--url", "https://a.example/", "-H", "x"], 2, "not a header"),
        (["endpoints", "create", "-c", "acme", "--url", "https://a.example/", "-H", "Host: x"], 2, "'Host'"),
        (
            ["endpoints", "create", "-c", "acme", "--url", "https://a.example/", "-t", "invoice.pai"],
            2,
            "'invoice.paid'",
        ),
        (["endpoints", "update", "ep_" + "0" * 22], 2, "Nothing to change"),
        (["endpoints", "show", "ep_" + "0" * 22], 4, "ep_"),
        (["endpoints", "rotate", "ep_" + "0" * 22, "--keep-old", "soon"], 2, "not a length of time"),
        (["messages", "--app", "main.py", "--database", "sqlite:///anzol.db"], 2, "Give one of them"),
        (["messages", "--database", "sqlite:///nowhere.db"], 5, "There is no database"),
        (["messages", "--database", "postgresql://h/db"], 2, "PostgreSQL"),
        (["messages", "--database", "nonsense"], 2, "not the URL of a database"),
        (["messages", "--app", "nowhere.py"], 3, "There is no 'nowhere.py'"),
        (["events", "list", "--app", "nowhere:app"], 3, "There is no module 'nowhere'"),
        (["migrate", "--database", "sqlite:////nowhere/at/all.db"], 2, "/nowhere/at"),
        (["migrate", "--database", "sqlite:///main.py"], 5, "main.py"),
        (["migrate", "--outbox", "sqlite:////nowhere/at/all.db"], 5, "anzol_outbox"),
        (["frobnicate"], 2, "No such command"),
        (["messages", "--no-such-option"], 2, "No such option"),
    ],
)
def test_what_cannot_be_done_is_said_with_its_exit_code(
    world: World, arguments: list[str], code: int, said: str
) -> None:
    world.call("migrate")

    result = world.call(*arguments)

    assert said in result.stderr
    assert "Traceback" not in result.output
    assert result.stdout == ""
    assert result.exit_code == code


def test_with_json_an_error_is_json_and_standard_output_stays_empty(world: World) -> None:
    world.call("migrate")

    result = world.call("endpoints", "show", "ep_" + "0" * 22, "--json")

    assert json.loads(result.stderr)["error"]["kind"] == "NotFound"
    assert result.stdout == ""
    assert result.exit_code == 4


def test_neither_app_nor_database_says_what_to_name(world: World) -> None:
    (world.folder / "main.py").unlink()

    result = world.call("messages")

    assert result.exit_code == 3
    assert "--app" in result.stderr
    assert "--database" in result.stderr


def test_an_error_shows_no_traceback_as_a_process_either(world: World) -> None:
    world.write("main.py", "import nothing_of_this_name\n")

    result = world.run("messages", "--app", "main.py")

    assert result.returncode == 3
    assert result.stderr.startswith("Error: Importing main failed: ModuleNotFoundError")
    assert "Traceback" not in result.stderr


def test_completion_can_be_had_for_each_shell(world: World) -> None:
    for shell in ("bash", "zsh", "fish"):
        shown = world.run("--show-completion", shell, _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
        assert "_ANZOL_COMPLETE" in shown.stdout, shown.stderr


def test_a_file_that_the_environment_names_is_used_without_the_app(world: World, tmp_path: Path) -> None:
    world.write("main.py", "raise RuntimeError('the app is not asked')\n")

    made = world.run("migrate", "--json", ANZOL_DATABASE_URL="sqlite:///other.db")

    assert json.loads(made.stdout)["database"] == str(world.folder / "other.db")


def test_no_state_of_another_name(world: World) -> None:
    from anzol.cli.mending import read_states

    with pytest.raises(InvalidValue, match="delivered, exhausted, cancelled"):
        read_states(["waiting"])


# --- what a command leaves behind


def test_the_lines_of_a_worker_end_with_it(world: World) -> None:
    attempts = logging.getLogger("anzol.attempt")
    before = (list(attempts.handlers), attempts.level, attempts.propagate)

    world.call("worker", "--once")

    assert (list(attempts.handlers), attempts.level, attempts.propagate) == before


def test_what_is_done_in_a_terminal_is_written_down_with_who_did_it(
    world: World, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "ann")

    world.call("pause", "-c", "acme", "--yes")

    assert world.data("resume")["items"][0]["actor"] == "cli:ann"
    with closing(sqlite3.connect(world.folder / "anzol.db")) as file:
        entries = file.execute("select actor, action, object from anzol_audit order by seq").fetchall()
    assert entries[-1] == ("cli:ann", "deliveries.paused", "acme")
    assert entries[0][0].startswith("cli")
    assert entries[0][1:] == ("endpoint.created", endpoint)
