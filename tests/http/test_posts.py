"""Requests as bytes: what of an address and of headers goes into them, and what never does."""

import re

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trioqueue.http.posts import Post, UnusableEndpoint, checked_header, destination, request

KEY = "sk-or-v1-0123456789abcdef"


def read(data: bytes) -> tuple[h11.Request, bytes]:
    """What a server reads; nothing may be left over."""
    server = h11.Connection(h11.SERVER)
    server.receive_data(data)
    head = server.next_event()
    body = b""
    while isinstance(event := server.next_event(), h11.Data):
        body += bytes(event.data)
    assert isinstance(head, h11.Request)
    assert isinstance(event, h11.EndOfMessage)
    assert server.trailing_data == (b"", False)
    return head, body


@given(st.binary(max_size=300))
def test_request_says_what_is_posted(content: bytes):
    """A server reads one request with the headers of the address and those of the call, each once, and the body."""
    there = destination("https://example.com/a/b?c=d%20e", {"Authorization": f"Bearer {KEY}"})

    head, body = read(request(there, Post(content, (checked_header("Idempotency-Key", "k:1"),))))

    assert (head.method, head.target, body) == (b"POST", b"/a/b?c=d%20e", content)
    assert dict(head.headers) == {
        b"host": b"example.com",
        b"accept-encoding": b"identity",
        b"accept": b"application/json",
        b"content-type": b"application/json",
        b"user-agent": b"trioqueue",
        b"authorization": f"Bearer {KEY}".encode(),
        b"idempotency-key": b"k:1",
        b"content-length": b"%d" % len(content),
    }
    assert len(dict(head.headers)) == len(list(head.headers))


ADDRESSES = {
    "http://example.com": (("http", "example.com", 80), b"example.com", b"/"),
    "https://EXAMPLE.com:443/x": (("https", "example.com", 443), b"example.com", b"/x"),
    "https://example.com:8443/x#there": (("https", "example.com", 8443), b"example.com:8443", b"/x"),
    "http://[::1]:8080/v1?": (("http", "::1", 8080), b"[::1]:8080", b"/v1?"),
    "http://bücher.example/ä b": (("http", "xn--bcher-kva.example", 80), b"xn--bcher-kva.example", b"/%C3%A4%20b"),
    "http://user:hunter2@example.com/": (("http", "example.com", 80), b"example.com", b"/"),
}


@pytest.mark.parametrize(("url", "expected"), ADDRESSES.items(), ids=ADDRESSES)
def test_address_says_whom_to_and_what_for(url: str, expected: tuple[object, bytes, bytes]):
    """Scheme, host and port, the Host header and the target; a fragment and a password are nobody's business."""
    there = destination(url, {})

    head, _ = read(request(there, Post(b"")))
    assert (there.origin, dict(head.headers)[b"host"], head.target) == expected


@given(st.text(st.characters(codec="latin-1"), max_size=20).map(lambda path: f"http://example.com/{path}"))
def test_no_address_can_add_a_line(url: str):
    """Whatever an address has in its path is escaped or refused."""
    try:
        there = destination(url, {})
    except UnusableEndpoint:
        return

    head, _ = read(request(there, Post(b"")))
    assert len(list(head.headers)) == there.head.count(b"\r\n")


@given(
    st.text(max_size=20),
    st.sampled_from(["\r", "\n", "\r\n", "\0", "\x7f", "\x85", "\u2028", "é"]),
    st.text(max_size=20),
)
def test_no_value_of_a_header_can_add_a_line(before: str, bad: str, after: str):
    """A line end, another control character or one beyond ASCII is refused, and the value is not shown."""
    with pytest.raises(UnusableEndpoint, match="X-Key") as caught:
        checked_header("X-Key", f"hunter2{before}{bad}{after}")

    assert "hunter2" not in repr(caught.value)


def test_key_is_not_shown_by_what_holds_it():
    """Neither the representation of an address nor that of a request has the key."""
    there = destination("https://user:hunter2@example.com", {"Authorization": f"Bearer {KEY}"})

    assert re.search(f"{KEY}|hunter2", f"{there!r} {there}") is None
