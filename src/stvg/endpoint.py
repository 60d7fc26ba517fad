"""A language model behind a server that has the chat interface of OpenAI (vLLM and the like)."""

from __future__ import annotations

import json
import os
import urllib.request
from http.client import HTTPException

from stvg.errors import StvgError

KEY_VARIABLE = "STVG_ENDPOINT_KEY"
"""Environment variable with the key of a server that wants one."""

_MOST_TOKENS = 200
_TIMEOUT_S = 60
_FAILURES = (OSError, HTTPException, ValueError, LookupError, TypeError, RecursionError)
"""What a connection or a reply of another form can raise."""


def ask(address: str, model: str, prompt: str, *, advice: str) -> str:
    """The reply of a server to one message, at most 200 tokens, the likeliest ones.

    Args:
        address: Up to ``/v1``; http or https.
        model: What the server calls its model.
        prompt: The message.
        advice: What to do where it fails, for the error; a sentence.

    Raises:
        StvgError: If the server does not answer within a minute, or not in this form.
    """
    key = os.environ.get(KEY_VARIABLE)
    body = {
        "model": model,
        "messages": [{"role": "user", "content": prompt}],
        "temperature": 0,
        "max_tokens": _MOST_TOKENS,
    }
    request = urllib.request.Request(  # noqa: S310, callers take addresses of the web only
        f"{address.rstrip('/')}/chat/completions",
        json.dumps(body).encode(),
        {"Content-Type": "application/json", "User-Agent": "stvg"}
        | ({"Authorization": f"Bearer {key}"} if key else {}),
    )
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as reply:  # noqa: S310
            return str(json.load(reply)["choices"][0]["message"]["content"])
    except _FAILURES as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise StvgError(
            f"expected the server at {address} to answer as its model {model!r}, which failed: "
            f"{reason}. {advice}"
        ) from error
