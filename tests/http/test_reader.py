"""Reading answers from bytes: what is whole, what is broken, and where one ends."""

from itertools import pairwise, repeat

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.scripted_server import http_answer
from trioqueue.http.answers import Answer
from trioqueue.http.reader import MOST_HEAD_BYTES, AnswerReader

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
LIMIT = 100_000

WHOLE = {
    "with a length": http_answer(b"hello"),
    "in chunks": CHUNKED + b"2;name=value\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
    "with trailers": CHUNKED + b"5\r\nhello\r\n0\r\nRetry-After: 9\r\n\r\n",
    "after 100s": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    + http_answer(b"hello"),
    "that names a protocol": http_answer(b"hello", 200, "Connection: upgrade", "Upgrade: h2c"),
    "after an empty line": b"\r\n" + http_answer(b"hello"),
}


def fed(*pieces: bytes, limit: int = LIMIT) -> AnswerReader:
    """A reader that has read these."""
    reader = AnswerReader(limit)
    for piece in pieces:
        reader.feed(piece)
    return reader


@given(st.sampled_from(list(WHOLE.values())), st.lists(st.integers(0, 120), max_size=6))
def test_pieces_do_not_matter(answer: bytes, cuts: list[int]):
    """However an answer is cut on its way, it is the same answer, complete with its last byte and no sooner."""
    places = sorted({0, *(cut for cut in cuts if cut < len(answer) - 1), len(answer) - 1})
    reader = AnswerReader(LIMIT)
    for begin, end in pairwise(places):
        reader.feed(answer[begin:end])

    complete_too_soon = reader.complete
    reader.feed(answer[-1:])

    assert (complete_too_soon, reader.complete, reader.clean) == (False, True, True)
    read = reader.take()
    assert (read.status, read.body) == (200, b"hello")
    assert not read.headers.keys() & {"link", "retry-after"}


@given(st.permutations(list(WHOLE.values())))
def test_answers_follow_each_other(answers: list[bytes]):
    """One reader reads all answers of a connection, and nothing of one is in the next."""
    reader = AnswerReader(LIMIT)
    for number, answer in enumerate(answers):
        reader.feed(answer.replace(b" 200 ", b" 40%d " % number))

        assert reader.complete
        read = reader.take()
        assert (read.status, read.body) == (400 + number, b"hello")
        assert not read.headers.keys() & {"link", "retry-after"}
        assert not reader.begun


def test_headers_have_lower_names_and_the_last_of_several_values():
    """Names come in any case, values as they are but for blanks around them."""
    reader = fed(http_answer(b"", 429, "RETRY-After:\t 7 ", "X-A: 1", "x-a: 2", "X-Name: S\xe3o"))

    headers = reader.take().headers

    assert headers == {"content-length": "0", "retry-after": "7", "x-a": "2", "x-name": "S\xe3o"}


@pytest.mark.parametrize("status", [204, 304])
def test_answers_without_a_body_by_their_status(status: int):
    """A 204 and a 304 end with their head, whatever length it tells."""
    reader = fed(f"HTTP/1.1 {status} Whatever\r\n\r\n".encode())

    assert reader.clean
    assert reader.take() == Answer(status, {}, b"")


@pytest.mark.parametrize("head", ["HTTP/1.1 200 OK", "HTTP/1.0 200 OK", "HTTP/1.1 200 OK\r\nConnection: close"])
def test_answer_without_a_length_ends_with_the_connection(head: str):
    """It is complete when the connection ends, and not before."""
    reader = fed(f"{head}\r\n\r\nhello".encode())

    complete_too_soon = reader.complete
    reader.feed(b"")

    assert (complete_too_soon, reader.complete, reader.clean) == (False, True, False)
    assert reader.take().body == b"hello"


@pytest.mark.parametrize("header", ["Connection: close", "connection: Close, x"])
def test_connection_that_the_server_closes_is_not_clean(header: str):
    """After an answer that announces the end of the connection nothing may follow."""
    assert not fed(http_answer(b"hello", 200, header)).clean


@pytest.mark.parametrize("surplus", [b"x", b"\0", b"HTTP/1.1 2", http_answer(b"other")])
@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("answer", WHOLE.values(), ids=WHOLE)
def test_bytes_beyond_the_answer_are_noticed(answer: bytes, surplus: bytes, apart: bool):
    """What comes after an answer makes the connection unclean, and changes nothing of the answer."""
    reader = fed(answer, surplus) if apart else fed(answer + surplus)

    assert reader.complete
    assert not reader.clean
    read = reader.take()
    assert (read.status, read.body) == (200, b"hello")


BROKEN = {
    "another protocol": b"SSH-2.0-OpenSSH_9.6\r\n",
    "HTTP/2": b"\0\0\x12\x04\0\0\0\0\0\0",
    "no status": b"HTTP/1.1 OK\r\n\r\n",
    "lines without CR": b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    "folded header": b"HTTP/1.1 200 OK\r\nA: 1\r\n 2\r\nContent-Length: 0\r\n\r\n",
    "blank before the colon": b"HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n",
    "control character": b"HTTP/1.1 200 OK\r\nA: \x1b[2J\r\n\r\n",
    "two lengths": http_answer(b"hello", 200, "Content-Length: 4"),
    "negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    "immense length": b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
    "length and chunks": http_answer(b"0\r\n\r\n", 200, "Transfer-Encoding: chunked"),
    "bad chunk size": CHUNKED + b"zz\r\nhello\r\n",
    "immense chunk size": CHUNKED + b"fffffffffffffffff\r\n",
    "chunk longer than told": CHUNKED + b"2\r\nhello\r\n",
    "101": b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    "101 to a protocol": b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nhello",
    "ended in the status line": b"HTTP/1.1 20",
    "ended in the head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "ended after a 100": b"HTTP/1.1 100 Continue\r\n\r\n",
    "ended in the body": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
    "ended in a chunk": CHUNKED + b"9\r\nhello",
    "ended before the last chunk": CHUNKED + b"5\r\nhello\r\n",
    "another coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello",
}


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN)
def test_what_is_no_whole_answer_is_an_error(data: bytes):
    """Bytes that are no answer, or not the whole of one when the connection ends, raise."""
    with pytest.raises(httpx.RemoteProtocolError, match="broken"):
        fed(data, b"")


ENDLESS = {
    "body": (http_answer(b"x" * LIMIT)[: LIMIT // 2], b"x" * 1000),
    "body without a length": (b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 1000),
    "chunks": (CHUNKED, b"3e8\r\n" + b"x" * 1000 + b"\r\n"),
    "small chunks": (CHUNKED, b"1\r\nx\r\n" * 100),
    "extension of a chunk": (CHUNKED + b"1;", b"x" * 1000),
    "trailers": (CHUNKED + b"0\r\n", b"X: y\r\n" * 100),
    "status line": (b"HTTP/1.1 200 ", b"x" * 1000),
    "headers": (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 100),
    "header": (b"HTTP/1.1 200 OK\r\nX: ", b"x" * 1000),
    "name of a header": (b"HTTP/1.1 200 OK\r\n", b"x" * 1000),
    "100s": (b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n" * 40),
    "empty lines": (b"\r\n", b"\r\n" * 500),
}


@pytest.mark.parametrize(("begin", "more"), ENDLESS.values(), ids=ENDLESS)
def test_no_part_of_an_answer_may_go_on_for_ever(begin: bytes, more: bytes):
    """Whatever it is that does not end, reading stops at the bound."""
    with pytest.raises(httpx.RemoteProtocolError, match="larger than"):
        fed(begin, *repeat(more, LIMIT // len(more) + 1))


def test_head_has_a_bound_of_its_own():
    """A head that is too large is refused long before the answer would be."""
    with pytest.raises(httpx.RemoteProtocolError, match=str(MOST_HEAD_BYTES)):
        fed(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * (MOST_HEAD_BYTES // 6), limit=10 * MOST_HEAD_BYTES)


@given(st.integers(10, 2000), st.integers(0, 2000))
def test_bound_is_exact(size: int, body: int):
    """An answer of as many bytes as are allowed is read, and one of a byte more is not."""
    answer = http_answer(b"x" * body)
    if len(answer) <= size:
        assert fed(answer, limit=size).complete
    else:
        with pytest.raises(httpx.RemoteProtocolError):
            fed(answer, limit=size)


PIECES = st.sampled_from([b"HTTP/1.1 200 OK\r\n", b"Content-Length: 3\r\n", b"\r\n", CHUNKED, b"0\r\n\r\n"])


@given(st.lists(PIECES | st.binary(min_size=1, max_size=30)))
def test_any_bytes_are_read_or_refused(pieces: list[bytes]):
    """No bytes raise anything else, and when the connection ends there is an answer or an error."""
    reader = AnswerReader(LIMIT)
    try:
        for piece in (*pieces, b""):
            if not reader.complete:
                reader.feed(piece)
    except httpx.RemoteProtocolError:
        assert not reader.complete
    else:
        assert reader.take().status >= 200
