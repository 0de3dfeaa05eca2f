"""What stays the same from one request to an endpoint to the next, made once: target, keys, header lines."""

from __future__ import annotations

from typing import Final

from anzol import ids
from anzol.addresses import Policy, Target, check_url
from anzol.headers import copies, header_lines, signed_headers
from anzol.sender import Request
from anzol.signing import SigningKey, signature_header
from anzol.storage.face import Content, Profile

MOST_HEADS: Final = 64  # kinds of messages whose header lines are kept; declared headers may differ each time


class Letter:
    """Writes the requests of one endpoint, as its profile was when this was made."""

    __slots__ = ("_connect_timeout", "_deadline", "_heads", "_keys", "_own", "_prefix", "_target")

    def __init__(self, profile: Profile, policy: Policy, *, deadline: float, connect_timeout: float) -> None:
        """Read the endpoint's URL and secrets.

        Raises:
            AddressRefused: the URL may not be dialled (any more).
        """
        self._target = check_url(profile.url, policy)
        self._keys = tuple(SigningKey.parse(secret) for secret in profile.secrets)
        self._own = profile.headers
        self._prefix = profile.header_prefix
        self._heads: dict[tuple[object, ...], bytes] = {}
        self._deadline = deadline
        self._connect_timeout = connect_timeout

    @property
    def target(self) -> Target:
        return self._target

    def request(self, content: Content, timestamp: int) -> Request:
        """Write and sign the request for *content* at *timestamp* (whole seconds since the Unix epoch)."""
        message_id = ids.show(ids.MESSAGE, content.message_id)
        signature = signature_header(self._keys, message_id, timestamp, content.body)
        head = signed_headers(message_id, timestamp, signature, self._prefix) + self._head(content)
        target = self._target.asking(content.query) if content.query else self._target
        return Request(target, content.method, head, content.body, self._deadline, self._connect_timeout)

    def _head(self, content: Content) -> bytes:
        kind = (content.event_type, content.content_type, content.headers)
        head = self._heads.get(kind)
        if head is None:
            if len(self._heads) >= MOST_HEADS:
                self._heads.clear()
            ours = [("webhook-event", content.event_type)]
            if content.content_type:  # without a body there is nothing that it could be the type of
                ours.append(("content-type", content.content_type))
            # The endpoint's own headers last: what its owner has set stands, over what the message declares.
            # But nobody's header stands beside a signed one of the same name: receivers would read either.
            head = self._heads[kind] = header_lines(ours, content.headers, self._own, without=copies(self._prefix))
        return head
