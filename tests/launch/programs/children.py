"""Questions of a program, of its pool, and of a program that it starts.

``children.py pool|joblib|multiprocess [fork|spawn [WORD ...]]``
"""

from __future__ import annotations

import multiprocessing
import subprocess
import sys

from asking import ask


def answers(words: list[str]) -> list[str]:
    if sys.argv[1] == "joblib":
        from joblib import Parallel, delayed

        return list(Parallel(n_jobs=2)(delayed(ask)(word) for word in words))
    if sys.argv[1] == "multiprocess":
        return answers_by_dill(words)
    with multiprocessing.Pool(2) as pool:
        said = pool.map(ask, words)
        pool.close()
        pool.join()
        return said


def answers_by_dill(words: list[str]) -> list[str]:
    """Of functions that only dill can send to another process; the last is asked by one without a pool."""
    from multiprocess import get_context

    context = get_context(sys.argv[2])
    *most, last = words
    with context.Pool(2) as pool:
        said = pool.map(lambda word: f"{ask(word)}", most)  # then its workers are ended by a signal
    answered = context.Queue()
    process = context.Process(target=lambda: answered.put(ask(last)))
    process.start()
    said.append(answered.get())
    process.join()
    return said


if __name__ == "__main__":
    print(ask("main"))
    print(*answers(sys.argv[3:] or ["one", "two", "three", "four"]), flush=True)
    code = "from asking import ask; print(ask('started'))"
    subprocess.run([sys.executable, "-c", code], check=True)
