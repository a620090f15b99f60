"""Runs cells in Jupyter kernels, one after the other: ``notebook.py KERNELS [LAUNCHER OF A KERNEL]``."""

from __future__ import annotations

import sys
from typing import Any

from jupyter_client.manager import KernelManager

CELLS = (
    "from asking import ask, ask_async\nprint(ask('one'))",
    "await ask_async('two')",
    "import asyncio\nawait asyncio.gather(ask_async('three'), ask_async('four'))",
    "1 / 0",
    "%%capture said\nprint(ask('five'))",
    "said.stdout",
)


def show(message: dict[str, Any]) -> None:
    kind, content = message["msg_type"], message["content"]
    if kind == "stream":
        print(content["name"], content["text"].rstrip())
    elif kind == "execute_result":
        print("result", content["data"]["text/plain"])
    elif kind == "error":
        print("error", content["ename"])


manager = KernelManager()
assert manager.kernel_spec is not None
manager.kernel_spec.argv[:1] = [*sys.argv[2:], sys.executable]
manager.start_kernel()
for cells in (CELLS, ("from asking import ask; ask('six')",))[: int(sys.argv[1])]:
    if cells is not CELLS:
        manager.restart_kernel()
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(timeout=60)
    for cell in cells:
        client.execute_interactive(cell, timeout=60, output_hook=show)
    client.stop_channels()
manager.shutdown_kernel()
