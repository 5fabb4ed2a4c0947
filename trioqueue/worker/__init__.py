"""The worker: claims messages, has them written, splits and sends them. Knows ports and domain, no adapter."""
