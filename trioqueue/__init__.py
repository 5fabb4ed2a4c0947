"""trioqueue drains outreach campaigns: it claims due messages, writes, splits and sends them, and records it all."""

from importlib.metadata import version

__version__ = version("trioqueue")
