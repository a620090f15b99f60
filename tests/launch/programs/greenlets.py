"""Questions of greenlets: ``greenlets.py gevent|eventlet``."""

from __future__ import annotations

import os
import sys

WORDS = ("one", "two", "three")

if sys.argv[1] == "gevent":
    from gevent import monkey

    monkey.patch_all()
    from asking import ask
    from gevent.pool import Pool

    print(*Pool(2).map(ask, WORDS))
else:
    import eventlet

    eventlet.monkey_patch()
    # Below httpx there is trio, where it is installed, which cannot be imported after that.
    from asking import ask_by_requests as ask

    print(*eventlet.GreenPool(2).imap(ask, WORDS))

if pid := os.fork():
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    print(ask("parent"), code)
else:
    print(ask("child"), flush=True)
    os._exit(4)
