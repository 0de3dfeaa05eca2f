"""`anzol sign` and `anzol verify`: Standard Webhooks by hand."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from standardwebhooks.webhooks import Webhook
from typer.testing import CliRunner, Result

from anzol.cli.program import program
from anzol.signing import SigningKey

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ED25519 = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
MESSAGE = "msg_p5jXN8AQM9LWM0D4loKWxJek"
BODY = '{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def anzol(*arguments: str, stdin: str | bytes = "") -> Result:
    return CliRunner().invoke(program, list(arguments), input=stdin)


def signed(*more: str) -> Result:
    fixed = ("--data", BODY, "--id", MESSAGE, "--timestamp", "1614265330")
    return anzol("sign", "--secret", SECRET, *fixed, *more)


def test_the_vector_of_standard_webhooks_is_signed() -> None:
    result = signed()

    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        f"webhook-id: {MESSAGE}",
        "webhook-timestamp: 1614265330",
        f"webhook-signature: {SIGNATURE}",
    ]


def test_json_has_the_same_headers() -> None:
    headers = json.loads(signed("--json").stdout)["headers"]

    assert headers["webhook-signature"] == SIGNATURE


def test_two_secrets_give_two_signatures() -> None:
    result = signed("--secret", ED25519)

    line = result.stdout.splitlines()[2]
    assert line.startswith(f"webhook-signature: {SIGNATURE} v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw")


def test_the_secret_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBHOOK_SECRET", SECRET)

    assert SIGNATURE in anzol("sign", "--data", BODY, "--id", MESSAGE, "--timestamp", "1614265330").stdout


def test_a_body_from_a_file_and_from_standard_input_is_taken_byte_for_byte(tmp_path: Path) -> None:
    raw = b'{"a": 1}\r\n\n'
    (tmp_path / "body.json").write_bytes(raw)

    from_file = anzol("sign", str(tmp_path / "body.json"), "--secret", SECRET, "--json")
    from_input = anzol("sign", "--secret", SECRET, "--json", stdin=raw)

    for result in (from_file, from_input):
        Webhook(SECRET).verify(raw.decode(), json.loads(result.stdout)["headers"])


def test_what_was_signed_is_verified() -> None:
    headers = json.loads(anzol("sign", "--secret", SECRET, "--data", BODY, "--json").stdout)["headers"]
    given = [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]

    human = anzol("verify", "--secret", SECRET, "--data", BODY, *given)
    machine = anzol("verify", "--secret", SECRET, "--data", BODY, *given, "--json")

    assert (human.exit_code, machine.exit_code) == (0, 0)
    assert human.stdout.startswith("verified")
    assert json.loads(machine.stdout) == {"verified": True, "bytes": len(BODY)}


def test_an_ed25519_signature_is_verified_with_the_public_key() -> None:
    headers = json.loads(anzol("sign", "--secret", ED25519, "--data", BODY, "--json").stdout)["headers"]
    given = [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]

    assert anzol("verify", "--secret", SigningKey.parse(ED25519).public, "--data", BODY, *given).exit_code == 0


def captured(tmp_path: Path, **changed: str) -> str:
    headers = {"webhook-id": MESSAGE, "webhook-timestamp": "1614265330", "webhook-signature": SIGNATURE, **changed}
    file = tmp_path / "headers.txt"
    file.write_text("POST /webhooks HTTP/1.1\n" + "".join(f"{name}: {value}\n" for name, value in headers.items()))
    return str(file)


def test_a_capture_s_headers_are_read_and_its_age_may_be_left_unchecked(tmp_path: Path) -> None:
    headers = captured(tmp_path)

    fresh = anzol("verify", "--secret", SECRET, "--data", BODY, "--headers", headers)
    any_age = anzol("verify", "--secret", SECRET, "--data", BODY, "--headers", headers, "--tolerance", "any")

    assert (fresh.exit_code, any_age.exit_code) == (1, 0)
    assert "too_old" in fresh.stdout


@pytest.mark.parametrize(
    ("body", "changed", "reason"),
    [
        (BODY + " ", {}, "no_match"),
        (BODY, {"webhook-id": "msg_other"}, "no_match"),
        (BODY, {"webhook-signature": "v1"}, "malformed_signature"),
        (BODY, {"webhook-signature": ""}, "missing_header"),
    ],
)
def test_what_does_not_hold_ends_with_1_and_the_reason(
    tmp_path: Path, body: str, changed: dict[str, str], reason: str
) -> None:
    headers = captured(tmp_path, **changed)

    result = anzol("verify", "-s", SECRET, "--data", body, "--headers", headers, "--tolerance", "any", "--json")

    assert result.exit_code == 1
    assert json.loads(result.stdout)["reason"] == reason


def test_the_curl_command_sends_exactly_these_bytes(tmp_path: Path) -> None:
    body = "@file 'quoted' $HOME \"x\"\n"
    result = anzol("sign", "--secret", SECRET, "--data", body, "--curl", "http://127.0.0.1:1/to/a?b=c&d=e")
    # The shell takes the command apart; what curl would be given is written out.
    (tmp_path / "curl").write_text('#!/bin/sh\nfor part in "$@"; do printf "%s\\0" "$part"; done\n')
    (tmp_path / "curl").chmod(0o755)

    shown = subprocess.run(
        ["sh", "-c", result.stdout],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": f"{tmp_path}:/bin:/usr/bin"},
    )

    parts = shown.stdout.split("\0")
    assert parts[2] == "http://127.0.0.1:1/to/a?b=c&d=e"
    assert parts[parts.index("--data-raw") + 1] == body


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["sign", "--data", "x"], "No secret was given"),
        (["sign", "--data", "x", "--secret", "hunter2"], "not a signing secret"),
        (["sign", "--data", "x", "--secret", SECRET, "--id", "a.b"], "has no dot"),
        (["sign", "nowhere.json", "--secret", SECRET], "nowhere.json cannot be read"),
        (["verify", "--data", "x", "--secret", SECRET, "-H", "nonsense"], "not a header"),
        (["verify", "--data", "x", "--secret", SECRET, "--tolerance", "soon"], "not a length of time"),
        (["sign", "--data", "x", "--secret", SECRET, "--timestamp", "now"], "valid integer"),
    ],
)
def test_wrong_arguments_end_with_2_and_say_what_is_wrong(arguments: list[str], said: str) -> None:
    result = anzol(*arguments)

    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())
    assert result.stdout == ""


def test_a_secret_is_in_no_error() -> None:
    result = anzol("sign", "--data", "x", "--secret", "whsec_c2VjcmV0")

    assert "c2VjcmV0" not in result.output
