"""Which transport an address gets, and what a proxy's failures mean."""

import pytest

from tests.support.scripted_server import Peer, http_answer, scripted_server
from trioqueue.http.answers import Answer, Fault
from trioqueue.http.exchange import Endpoint
from trioqueue.http.proxies import HttpxTransport, UnusableProxy, transport_for
from trioqueue.http.transport import HttpTransport

SERVICE = "https://openrouter.ai/api/v1"


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever proxies this machine has are out of the way."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "request_method"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def test_without_a_proxy_it_is_ours():
    """Nothing in the environment means our transport."""
    assert isinstance(transport_for(SERVICE), HttpTransport)


@pytest.mark.parametrize("value", ["http://proxy.example:3128", "proxy.example:3128", "https://proxy.example"])
@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
async def test_proxy_of_the_scheme_or_of_all_is_used(monkeypatch: pytest.MonkeyPatch, name: str, value: str):
    """A proxy for the scheme, or for all, with or without a scheme of its own, is honoured."""
    monkeypatch.setenv(name, value)

    async with transport_for(SERVICE) as transport:
        assert isinstance(transport, HttpxTransport)


@pytest.mark.parametrize("url", ["http://localhost:1/", "http://127.0.0.1:1/", "http://127.8.8.8/", "http://[::1]:1/"])
def test_this_machine_is_never_reached_through_a_proxy(monkeypatch: pytest.MonkeyPatch, url: str):
    """The simulator listens on this machine; a proxy would look for it on its own."""
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example:3128")

    assert isinstance(transport_for(url), HttpTransport)


@pytest.mark.parametrize("value", ["openrouter.ai", ".ai", "*", "a.example, openrouter.ai:443"])
def test_no_proxy_is_honoured(monkeypatch: pytest.MonkeyPatch, value: str):
    """A host that NO_PROXY names, by its end or with its port, is reached directly."""
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", value)

    assert isinstance(transport_for("https://openrouter.ai:443/api/v1"), HttpTransport)


def test_proxy_of_another_scheme_is_not_used(monkeypatch: pytest.MonkeyPatch):
    """A proxy for http alone does not carry https."""
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example:3128")

    assert isinstance(transport_for(SERVICE), HttpTransport)


@pytest.mark.parametrize("proxy", ["socks5://user:hunter2@127.0.0.1:1080", "gopher://user:hunter2@127.0.0.1"])
def test_proxy_that_cannot_be_used_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch, proxy: str):
    """A proxy of a kind that cannot be used is an error that says so, and does not show the password."""
    monkeypatch.setenv("ALL_PROXY", proxy)

    with pytest.raises(UnusableProxy, match="NO_PROXY") as caught:
        transport_for(SERVICE)
    assert "hunter2" not in repr(caught.value)


async def test_request_goes_through_the_proxy(monkeypatch: pytest.MonkeyPatch):
    """A request to an http address is given to the proxy whole, key and body included."""

    async def proxy(peer: Peer) -> None:
        await peer.request()
        await peer.send(http_answer(b"hello"))

    async with scripted_server(proxy) as server:
        monkeypatch.setenv("HTTP_PROXY", server.url)
        url = "http://gateway.example/send"
        async with transport_for(url) as transport:
            answer = await Endpoint(url, {}, transport).post(b"{}", timeout=5)

        assert isinstance(answer, Answer)
        assert answer.body == b"hello"
        assert server.requests[0].startswith(b"POST http://gateway.example/send HTTP/1.1\r\n")


@pytest.mark.parametrize("answer", [http_answer(b"", 407), http_answer(b"", 502), b"", b"nonsense\r\n\r\n"])
async def test_tunnel_that_is_refused_has_not_begun(monkeypatch: pytest.MonkeyPatch, answer: bytes):
    """The proxy's refusal to open a tunnel comes before the request, of which nothing went out."""

    async def proxy(peer: Peer) -> None:
        await peer.request()
        await peer.send(answer)

    async with scripted_server(proxy) as server:
        monkeypatch.setenv("HTTPS_PROXY", server.url)
        url = "https://gateway.example/send"
        async with transport_for(url) as transport:
            fault = await Endpoint(url, {}, transport).post(b"{}", timeout=5)

        assert isinstance(fault, Fault)
        assert not fault.begun
        assert server.requests[0].startswith(b"CONNECT gateway.example:443 HTTP/1.1\r\n")


async def test_tunnel_that_hangs_has_not_begun(monkeypatch: pytest.MonkeyPatch):
    """A deadline that comes while the proxy opens the tunnel comes before the request."""
    async with scripted_server(Peer.gone) as server:
        monkeypatch.setenv("HTTPS_PROXY", server.url)
        url = "https://gateway.example/send"
        async with transport_for(url) as transport:
            fault = await Endpoint(url, {}, transport).post(b"{}", timeout=0.05)

        assert isinstance(fault, Fault)
        assert (fault.begun, fault.timed_out) == (False, True)
