"""A shell with job control, as small as it gets: runs its arguments in the foreground of its terminal.

To be started as the leader of a session. Says on stdout (not the terminal) what becomes of the
job, and continues it whenever it has stopped.
"""

from __future__ import annotations

import os
import signal
import sys

TERMINAL = 0


def foreground(group: int) -> None:
    os.tcsetpgrp(TERMINAL, group)


def say(line: str) -> None:
    os.write(1, f"{line}\n".encode())  # in one piece: the job writes there too


# The leader of a session without a terminal gets the first one that it opens.
os.close(os.open(os.ttyname(TERMINAL), os.O_RDWR))
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
job = os.fork()
if job == 0:
    os.setpgid(0, 0)
    foreground(os.getpid())
    signal.signal(signal.SIGTTOU, signal.SIG_DFL)
    os.execvp(sys.argv[1], sys.argv[1:])
say(f"job {job}")
while True:
    _, status = os.waitpid(job, os.WUNTRACED)
    foreground(os.getpgrp())
    if not os.WIFSTOPPED(status):
        say(f"ended {os.waitstatus_to_exitcode(status)}")
        break
    say(f"stopped {os.WSTOPSIG(status)}")
    foreground(job)
    os.killpg(job, signal.SIGCONT)
