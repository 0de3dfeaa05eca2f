from __future__ import annotations

import base64
import json
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from anzol import receiver
from anzol.errors import InvalidValue, VerificationError
from anzol.signing import SigningKey, VerifyingKey, sign, signature_header

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ED_KEY = "6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
ED_PUBLIC = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
MESSAGE_ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
TIMESTAMP = 1614265330
BODY = b'{"test": 2432232314}'
V1 = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
V1A = "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="


def headers(signature: str, *, message_id: str = MESSAGE_ID, timestamp: object = TIMESTAMP) -> dict[str, str]:
    return {"webhook-id": message_id, "webhook-timestamp": str(timestamp), "webhook-signature": signature}


def test_v1_signs_as_the_vector_says() -> None:
    assert SigningKey.parse(SECRET).sign(MESSAGE_ID, TIMESTAMP, BODY) == V1
    assert sign(base64.b64decode(SECRET[6:]), MESSAGE_ID, TIMESTAMP, BODY) == V1


def test_v1a_signs_as_the_vector_says() -> None:
    assert SigningKey.parse(f"whsk_{ED_KEY}").sign(MESSAGE_ID, TIMESTAMP, BODY) == V1A


def test_a_seed_alone_is_the_same_key_as_with_its_public_half() -> None:
    seed = base64.b64encode(base64.b64decode(ED_KEY)[:32]).decode()

    assert SigningKey.parse(f"whsk_{seed}") == SigningKey.parse(f"whsk_{ED_KEY}")


def test_a_key_tells_its_text_and_its_public_half() -> None:
    key = SigningKey.parse(f"whsk_{ED_KEY}")

    assert (key.text, key.public) == (f"whsk_{ED_KEY}", ED_PUBLIC)
    assert (SigningKey.parse(SECRET).text, SigningKey.parse(SECRET).public) == (SECRET, "")


def test_every_live_secret_signs_in_one_header() -> None:
    keys = [SigningKey.parse(SECRET), SigningKey.parse(f"whsk_{ED_KEY}")]

    assert signature_header(keys, MESSAGE_ID, TIMESTAMP, BODY) == f"{V1} {V1A}"


def test_a_generated_key_reads_back() -> None:
    for scheme, random in (("v1", bytes(range(24))), ("v1", bytes(64)), ("v1a", bytes(range(32)))):
        key = SigningKey.generate(scheme, random)  # type: ignore[arg-type]  # a loop forgets the literals

        assert SigningKey.parse(key.text) == key


@pytest.mark.parametrize(
    "text",
    [
        "",
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_",
        "whsec_not base64!",
        "whsec_" + base64.b64encode(bytes(23)).decode(),
        "whsec_" + base64.b64encode(bytes(65)).decode(),
        "whsk_" + base64.b64encode(bytes(31)).decode(),
        "whsk_" + base64.b64encode(bytes(64)).decode(),  # the second half is not the first one's public key
        ED_PUBLIC,
    ],
)
def test_what_is_no_secret_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        SigningKey.parse(text)

    assert caught.value.field == "secret"
    assert len(text) < 10 or text[6:] not in str(caught.value)


def test_secrets_are_not_in_a_repr() -> None:
    for key in (SigningKey.parse(SECRET), SigningKey.parse(f"whsk_{ED_KEY}"), VerifyingKey.parse(SECRET)):
        assert "MfKQ" not in repr(key)
        assert repr(base64.b64decode(SECRET[6:])) not in repr(key)
        assert repr(base64.b64decode(ED_KEY)[:32]) not in repr(key)


@given(secret=st.binary(min_size=24, max_size=64), body=st.text().map(str.encode))
def test_standardwebhooks_verifies_what_we_sign(secret: bytes, body: bytes) -> None:
    key = SigningKey.generate("v1", secret)
    now = int(datetime.now(UTC).timestamp())
    signed = headers(key.sign(MESSAGE_ID, now, body), timestamp=now)

    Webhook(key.text).verify(body, signed, json_parse=False)
    with pytest.raises(WebhookVerificationError):
        Webhook(key.text).verify(body + b" ", signed, json_parse=False)


@given(secret=st.binary(min_size=24, max_size=64), body=st.text(st.characters(exclude_categories=["Cs"])))
def test_we_verify_what_standardwebhooks_signs(secret: bytes, body: str) -> None:
    key = SigningKey.generate("v1", secret)
    signature = Webhook(key.text).sign(MESSAGE_ID, datetime.fromtimestamp(TIMESTAMP, UTC), body)

    receiver.verify(body.encode(), headers(signature), key.text, now=TIMESTAMP)
    with pytest.raises(VerificationError):
        receiver.verify(body.encode() + b" ", headers(signature), key.text, now=TIMESTAMP)


@pytest.mark.parametrize("secret", [ED_PUBLIC, f"whsk_{ED_KEY}"])
def test_we_verify_ed25519(secret: str) -> None:
    receiver.verify(BODY, headers(V1A), secret, now=TIMESTAMP)
    with pytest.raises(VerificationError, match="No signature"):
        receiver.verify(BODY[:-1], headers(V1A), secret, now=TIMESTAMP)


def test_any_of_several_secrets_and_signatures_will_do() -> None:
    other = SigningKey.generate("v1", bytes(24)).text
    several = f"v1,{'A' * 43}= v2,whatever {V1A} {V1}"

    receiver.verify(BODY, headers(several), [other, SECRET], now=TIMESTAMP)
    receiver.verify(BODY, headers(several), [other, ED_PUBLIC], now=TIMESTAMP)


def test_names_of_headers_may_be_in_any_case_and_come_as_pairs() -> None:
    pairs = [(name.title(), value) for name, value in headers(V1).items()]

    receiver.verify(BODY, pairs, SECRET, now=TIMESTAMP)
    receiver.verify(BODY, dict(pairs), SECRET, now=TIMESTAMP)


@pytest.mark.parametrize("now", [TIMESTAMP - 300, TIMESTAMP, TIMESTAMP + 300])
def test_a_time_within_the_tolerance_is_right(now: int) -> None:
    receiver.verify(BODY, headers(V1), SECRET, now=now)


@pytest.mark.parametrize(
    ("changed", "now", "reason"),
    [
        ({"webhook-id": ""}, 0, "missing_header"),
        ({"webhook-timestamp": ""}, 0, "missing_header"),
        ({"webhook-signature": ""}, 0, "missing_header"),
        ({"Webhook-Id": "twice"}, 0, "repeated_header"),
        ({"webhook-id": "a.b"}, 0, "malformed_id"),
        ({"webhook-id": "a\nb"}, 0, "malformed_id"),
        ({"webhook-id": "\ud800"}, 0, "malformed_id"),
        ({"webhook-timestamp": "1e9"}, 0, "malformed_timestamp"),
        ({"webhook-timestamp": "-1614265330"}, 0, "malformed_timestamp"),
        ({"webhook-timestamp": "1614265330.5"}, 0, "malformed_timestamp"),
        ({"webhook-timestamp": " 1614265330"}, 0, "malformed_timestamp"),
        ({"webhook-timestamp": "١٦١٤٢٦٥٣٣٠"}, 0, "malformed_timestamp"),
        ({"webhook-timestamp": "9" * 5000}, 0, "malformed_timestamp"),
        ({}, 301, "too_old"),
        ({}, -301, "too_new"),
        ({"webhook-signature": "v1"}, 0, "malformed_signature"),
        ({"webhook-signature": "v1,not base64"}, 0, "malformed_signature"),
        ({"webhook-signature": "v1,@@@@"}, 0, "malformed_signature"),
        ({"webhook-signature": "v1,\ud800"}, 0, "malformed_signature"),
        ({"webhook-signature": "v1,"}, 0, "no_match"),
        ({"webhook-signature": V1A.replace("v1a", "v1")}, 0, "no_match"),
        ({"webhook-signature": V1.replace("v1", "v0")}, 0, "no_match"),
        ({"webhook-id": "msg_other"}, 0, "no_match"),
        ({"webhook-timestamp": str(TIMESTAMP + 1)}, 0, "no_match"),
        ({"webhook-timestamp": f"0{TIMESTAMP}"}, 0, "no_match"),
    ],
)
def test_what_is_wrong_is_said(changed: dict[str, str], now: int, reason: str) -> None:
    with pytest.raises(VerificationError) as caught:
        receiver.verify(BODY, headers(V1) | changed, SECRET, now=TIMESTAMP + now)

    assert caught.value.reason == reason


@given(
    st.dictionaries(
        st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature", "x"]), st.text(max_size=80)
    ),
    st.binary(max_size=80),
)
def test_no_header_makes_verify_fail_in_another_way(given_headers: dict[str, str], body: bytes) -> None:
    with pytest.raises(VerificationError):
        receiver.verify(body, given_headers, [SECRET, ED_PUBLIC], now=TIMESTAMP)


def test_the_receivers_side_is_light() -> None:
    program = "import sys, json; import anzol.receiver; print(json.dumps(sorted(sys.modules)))"
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(json.loads(shown.stdout))

    heavy = {"asyncio", "sqlite3", "ssl", "fastapi", "starlette", "pydantic", "cryptography", "httptools"}
    assert loaded & heavy == set()
    assert {name for name in loaded if name.startswith("anzol")} == {
        "anzol",
        "anzol.errors",
        "anzol.receiver",
        "anzol.receiver.verify",
        "anzol.signing",
    }
