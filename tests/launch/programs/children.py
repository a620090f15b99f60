"""Questions of a program, of its pool, and of a program that it starts: ``children.py pool|joblib``."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys

from asking import ask


def answers(words: list[str]) -> list[str]:
    if sys.argv[1] == "joblib":
        from joblib import Parallel, delayed

        return list(Parallel(n_jobs=2)(delayed(ask)(word) for word in words))
    with multiprocessing.Pool(2) as pool:
        said = pool.map(ask, words)
        pool.close()
        pool.join()
        return said


if __name__ == "__main__":
    print(ask("main"))
    print(*answers(["one", "two", "three", "four"]), flush=True)
    code = "from asking import ask; print(ask('started'))"
    subprocess.run([sys.executable, "-c", code], check=True)
