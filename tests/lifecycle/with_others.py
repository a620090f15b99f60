"""A program: a tool of others and us at work at once, put on and taken off in the order that is asked for.

Arguments: the tool; who is first on, "tool", "us" or "alone" (the tool); who is first off. Prints what the
tool saw in each phase, in JSON, with the server's port taken out.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import sys
from contextlib import closing, nullcontext

from calling import call, library, seam
from other_tool import MOCKED
from servers import Server, reply
from tools import HEAVY, TOOLS

import rewind_auto
from rewind_auto.core.errors import RewindReplayDivergenceError, UnknownReferenceError
from rewind_auto.store import open_store

NAME, FIRST_ON, FIRST_OFF = sys.argv[1:]
TOOL = {**TOOLS, **HEAVY}[NAME]
MODULES = {way: importlib.import_module(library(way)) for way in TOOL.ways}
ORIGINALS = {way: seam(module, way) for way, module in MODULES.items()}
RECORDED, REPLAYED = "a" * 32, "b" * 32


class Program:
    def __init__(self, server):
        self.server = server
        self.tool = None
        self.said = []
        self.sent = {}  # the paths of each way's calls that the tool lets out

    # --- who is on

    def tool_on(self):
        self.tool = self.tool or TOOL(self.server.url)
        self.tool.on()

    def us_on(self, session=RECORDED, **options):
        os.environ["REWIND_SESSION_ID"] = session
        rewind_auto.install(hosts=["127.0.0.1"], **options)

    def us_off(self):
        rewind_auto.uninstall()

    def tool_off(self):
        self.tool.off()

    def both_on(self, **options):
        if FIRST_ON == "us":
            self.us_on(**options)
        self.tool_on()
        if FIRST_ON == "tool":
            self.us_on(**options)

    # --- what then happens

    def calls(self, *, tool, us):
        """Every way, let out and answered by the tool. Notes what the tool said, if it is on."""
        for way, module in MODULES.items():
            paths = self.sent.setdefault(way, [])
            paths.append(
                f"/out/{way.replace(' ', '-')}/{len(paths)}"
            )  # a cassette plays what it has recorded
            out = self.one(module, way, paths[-1], tool, sent=True)
            assert out == ("answer", [library(way)] if us else []), (way, out)
            answer, steps = self.one(module, way, "/mocked", tool, sent=not (tool and self.tool.answers))
            assert answer == (MOCKED if tool and self.tool.answers else "answer"), (way, answer)
            # Who is nearer to the program depends on who came first: an answer of the tool's may be no step.
            mine = [[library(way)]] if us else [[]]
            assert steps in ([*mine, []] if tool and self.tool.answers else mine), (way, steps)

    def one(self, module, way, path, tool, *, sent):
        """One call: its answer, and the steps that it made."""
        before, seen = self.steps(), len(self.server.seen)
        with self.tool.around() if tool else nullcontext():
            answer = call(module, way, self.server.url + path, "asked")
        assert len(self.server.seen) == seen + sent, (way, path)
        if tool:
            self.said.append([way, path, self.tool.seen()])
            if sent:
                self.said.append(
                    sorted(
                        line.partition(b":")[0].decode()
                        for line in self.server.seen[-1].head.splitlines()[1:]
                    )
                )
        return answer, self.steps()[len(before) :]

    def steps(self):
        with closing(open_store(os.environ["REWIND_STORE"])) as store:
            try:
                return [step.library for step in store.steps(RECORDED)]
            except UnknownReferenceError:
                return []

    def replayed(self):
        """Nothing is sent, whether it is there or not."""
        seen = len(self.server.seen)
        for way, module in MODULES.items():
            with self.tool.around():
                assert call(module, way, self.server.url + self.sent[way][0], "asked") == "answer", way
            try:
                with self.tool.around():
                    call(module, way, self.server.url + "/out/never", "asked")
            except RewindReplayDivergenceError:
                pass
            else:
                raise AssertionError(way)
        assert len(self.server.seen) == seen

    def alone(self):
        self.tool_on()
        self.calls(tool=True, us=False)
        if FIRST_OFF == "us":
            self.calls(tool=True, us=False)
        self.tool_off()

    def together(self):
        self.both_on()
        self.calls(tool=True, us=True)
        if FIRST_OFF == "tool":
            self.tool_off()
            self.calls(tool=False, us=True)
            self.us_off()
        else:
            self.us_off()
            self.calls(tool=True, us=False)
            self.tool_off()
        self.nothing_is_left()
        self.both_on(session=REPLAYED, mode="replay", source=RECORDED)
        self.replayed()
        self.us_off()
        self.tool_off()
        self.nothing_is_left()

    def nothing_is_left(self):
        self.calls(tool=False, us=False)
        gc.collect()
        for way, module in MODULES.items():
            assert seam(module, way) is ORIGINALS[way], way


with Server() as running:
    running.on("", reply(b"answer", headers=[("Content-Type", "text/plain")]))
    program = Program(running)
    if FIRST_ON == "alone":
        program.alone()
    else:
        program.together()
    print(json.dumps(program.said, default=str).replace(str(running.port), "PORT"))
