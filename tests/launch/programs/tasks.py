"""A Celery application on a broker that is a directory; run as a program it sends it what it is given."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from asking import ask
from celery import Celery, group

_FOLDER = os.environ["BROKER"]
app = Celery("tasks", broker="filesystem://", backend=f"file://{_FOLDER}/results")
app.conf.broker_transport_options = {
    "data_folder_in": f"{_FOLDER}/queue",
    "data_folder_out": f"{_FOLDER}/outbox",
    "control_folder": f"{_FOLDER}/control",
    "polling_interval": 0.05,
}


@app.task
def answer(what: str) -> tuple[str, int]:
    return ask(what), os.getpid()


if __name__ == "__main__":
    sent = group(answer.s(what) for what in sys.argv[1:]).apply_async()
    for message in Path(_FOLDER, "outbox").iterdir():  # whole: a worker may read what kombu still writes
        message.rename(Path(_FOLDER, "queue", message.name))
    for said, pid in sent.get(timeout=60, interval=0.05):
        print(said, pid)
