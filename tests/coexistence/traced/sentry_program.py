"""A program that Sentry watches, and what it is sent, an item a line of JSON in the file that KEPT names."""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import calls
import sentry_sdk
from sentry_sdk.integrations.anthropic import AnthropicIntegration
from sentry_sdk.integrations.openai import OpenAIIntegration
from sentry_sdk.transport import Transport


class Kept(Transport):
    def capture_envelope(self, envelope):
        with Path(os.environ["KEPT"]).open("a") as kept:
            for item in envelope.items:
                print(json.dumps([item.headers["type"], json.loads(item.get_bytes())]), file=kept)

    def flush(self, *_, **__):
        pass


# The integrations are named: it leaves them out where an agent framework that it knows too is installed.
sentry_sdk.init(
    "http://key@127.0.0.1:9/1",
    traces_sample_rate=1.0,
    transport=Kept,
    integrations=[OpenAIIntegration(), AnthropicIntegration()],
)


@contextmanager
def around(name):
    with sentry_sdk.start_transaction(name=name):
        yield
        if name == "sync chat":
            time.sleep(0.5)  # meanwhile our exporter, if there is one, has something to send


calls.make(sys.argv[1], around)
sentry_sdk.flush()
