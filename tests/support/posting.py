"""One request over a transport, without an endpoint."""

from trioqueue.http.answers import Answer
from trioqueue.http.posts import Post, Transport, destination


async def post(transport: Transport, url: str, content: bytes = b"{}", *, repeatable: bool = False) -> Answer:
    """Post, and read the answer; what fails is raised."""
    return await transport.post(destination(url, {}), Post(content, repeatable=repeatable))
