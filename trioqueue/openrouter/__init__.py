"""The language model: OpenRouter's chat completions, and any server of the same shape."""
