"""``rewind-run``: its options, its errors, and that the command it becomes is as if started by the shell."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import rewind_auto
from rewind_auto.boot.launch import inject_dir
from rewind_auto.core.model import Session
from rewind_auto.settings import OPTIONS
from rewind_auto.store import open_store

PY = sys.executable
SHOW = (
    "import json, os, sys; print(json.dumps({'env': dict(os.environ), 'argv': sys.argv, 'pid': os.getpid()}))"
)


def shown(done) -> dict:
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return json.loads(done.stdout)


def refused(done, code: int = 2) -> str:
    """The one line on stderr of a command that was not started."""
    assert (done.returncode, done.stdout) == (code, ""), done
    (line,) = done.stderr.splitlines()
    assert line.startswith("rewind-run: ")
    return line


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


class TestEnvironment:
    def test_of_a_plain_run(self, rewind_run, store_path) -> None:
        env = shown(rewind_run(PY, "-c", SHOW, "--name", "x"))["env"]
        assert env["PYTHONPATH"].split(os.pathsep) == [
            inject_dir(),
            str(Path(rewind_auto.__file__).parents[1]),
        ]
        assert env["REWIND_MODE"] == "record"
        assert len(bytes.fromhex(env["REWIND_SESSION_ID"])) == 16
        assert env["REWIND_SESSION_NAME"] == "python"
        assert env["REWIND_STORE"] == str(store_path)
        assert "REWIND_FROM" not in env
        assert "REWIND_SUPERVISED" not in env
        assert env["REWIND_COMMAND"].startswith(f"{PY} -c ")
        assert env["REWIND_COMMAND"].endswith(" --name x")

    def test_every_flag_sets_its_variable(self, rewind_run, tmp_path) -> None:
        flags = {
            "--name": "mine",
            "--store": "sub/my.db",
            "--speed": "2",
            "--match": "exact",
            "--order": "recorded",
            "--hosts": "a.test,b.test:81",
            "--tools": "c.test",
            "--otlp": "http://c.test:4318",
            "--redact": "ssn,/ACME-[0-9]{8}/",
        }
        words = [word for flag, value in flags.items() for word in (flag, value)]
        for args in (words, [f"{flag}={value}" for flag, value in flags.items()]):
            env = shown(rewind_run(*args, PY, "-c", SHOW))["env"]
            expected = {**flags, "--store": str(tmp_path / "sub" / "my.db")}
            for option in OPTIONS:
                if option.flag in flags:
                    assert env[option.variable] == expected[option.flag]
        with_flag = {option.flag for option in OPTIONS if option.flag}
        assert with_flag == {*flags, "--allow-unused"}

    def test_flags_go_before_variables(self, rewind_run) -> None:
        variables = {
            "REWIND_SPEED": "3",
            "REWIND_SESSION_NAME": "from-variable",
            "REWIND_MODE": "replay",
            "REWIND_FROM": "x",
        }
        env = shown(rewind_run("--record", "--speed", "1", PY, "-c", SHOW, **variables))["env"]
        assert (env["REWIND_SPEED"], env["REWIND_SESSION_NAME"], env["REWIND_MODE"]) == (
            "1",
            "from-variable",
            "record",
        )
        assert "REWIND_FROM" not in env

    def test_a_run_inside_a_run_is_a_session_of_its_own(self, rewind_run, launcher) -> None:
        outer = shown(rewind_run("--name", "outer", PY, "-c", SHOW))["env"]
        inner = shown(rewind_run("--name", "outer", *launcher, PY, "-c", SHOW))["env"]
        assert inner["REWIND_SESSION_NAME"] == "python"
        assert inner["REWIND_SESSION_ID"] != outer["REWIND_SESSION_ID"]
        assert inner["PYTHONPATH"] == outer["PYTHONPATH"]

    def test_off_is_the_command_alone(self, rewind_run) -> None:
        plain = shown(rewind_run("--off", PY, "-c", SHOW))
        assert inject_dir() not in plain["env"]["PYTHONPATH"].split(os.pathsep)
        assert plain["env"]["REWIND_MODE"] == "off"
        assert shown(rewind_run(PY, "-c", SHOW, REWIND_MODE="off"))["env"]["REWIND_MODE"] == "off"

    def test_command_line_kept_is_bounded(self, rewind_run) -> None:
        env = shown(rewind_run(PY, "-c", SHOW, "y" * 100_000))["env"]
        assert len(env["REWIND_COMMAND"]) < 4096


class TestCommandLine:
    @pytest.mark.parametrize(
        "options", [[], ["--"], ["--record"], ["--speed", "1"], ["--otlp"], ["--otlp", "--"]]
    )
    def test_options_of_the_command_are_its_own(self, rewind_run, options) -> None:
        words = ["--name", "x", "--replay", "--bogus", "--", "-h", "--s"]
        done = shown(rewind_run(*options, PY, "-c", SHOW, *words))
        assert done["argv"] == ["-c", *words]
        assert done["env"].get("REWIND_OTLP") == ("1" if "--otlp" in options else None)

    def test_otlp_takes_only_a_url(self, rewind_run) -> None:
        assert (
            shown(rewind_run("--otlp", "http://c:1/x", PY, "-c", SHOW))["env"]["REWIND_OTLP"]
            == "http://c:1/x"
        )
        assert shown(rewind_run("--otlp=1", PY, "-c", SHOW))["env"]["REWIND_OTLP"] == "1"
        assert "--otlp" in refused(rewind_run("--otlp=python", "true"))

    @pytest.mark.parametrize(
        ("args", "says"),
        [
            (["--bogus", "true"], "--bogus"),
            (["--spee=1", "true"], "--spee"),
            ([], "no command"),
            (["--record"], "no command"),
            (["--"], "no command"),
            ([""], "no command"),
            (["--name"], "--name"),
            (["--name", "last", "true"], "'last'"),
            (["--speed", "x", "true"], "--speed: 'x': not a number"),
            (["--speed", "-1", "true"], "--speed"),
            (["--hosts", "http://a.test", "true"], "--hosts: 'http://a.test'"),
            (["--store", "mysql://h/d", "true"], "--store"),
            (["--record", "--off", "true"], "not allowed with"),
            (["--replay"], "--replay"),
            (["--fork"], "--fork"),
            (["--fork", "last@0", "true"], "steps are numbered from 1"),
            (["--fork", "last@3", "true"], "no store at"),
            (["--tools", "a/b", "true"], "--tools: 'a/b'"),
            (["--hosts", "", "true"], "--hosts: '': is empty"),
            (["--tools", " ", "true"], "--tools: ' ': is empty"),
            (["--otlp", "ftp://x", "true"], "--otlp: 'ftp://x': not an http(s) URL"),
            (["--otlp", "http://", "true"], "--otlp: 'http://': not an http(s) URL"),
            (["--otlp", "http://[::1", "true"], "--otlp: 'http://[::1': not an http(s) URL"),
            (["--otlp", "http://c:99999999/", "true"], "--otlp: 'http://c:99999999/': not an http(s) URL"),
        ],
    )
    def test_wrong_usage(self, rewind_run, args, says, tmp_path) -> None:
        assert says in refused(rewind_run(*args))
        assert names(tmp_path) == ["home"]

    @pytest.mark.parametrize(
        ("variable", "value"),
        [
            ("REWIND_MODE", "foo"),
            ("REWIND_MODE", "fork"),
            ("REWIND_MODE", "replay"),
            ("REWIND_CACHE_TTL", "soon"),
            ("REWIND_MAX_BODY", "-1"),
            ("REWIND_IGNORE", "a["),
            ("REWIND_LOG", "loud"),
            ("REWIND_STORE", "redis://h"),
        ],
    )
    def test_malformed_variable(self, rewind_run, variable, value) -> None:
        assert variable in refused(rewind_run("true", **{variable: value}))

    def test_help_and_version(self, rewind_run) -> None:
        done = rewind_run("--help")
        assert done.returncode == 0
        for option in OPTIONS:
            assert option.variable in done.stdout
            assert option.flag in done.stdout
        assert rewind_run("--version").stdout == f"rewind-auto {rewind_auto.__version__}\n"


class TestCannotExecute:
    @pytest.mark.parametrize("mode", [[], ["--off"]])
    def test_not_found(self, rewind_run, mode, tmp_path) -> None:
        assert (
            refused(rewind_run(*mode, "no-such-command"), 127)
            == "rewind-run: command not found: no-such-command"
        )
        assert "command not found: ./no/such" in refused(rewind_run(*mode, "./no/such"), 127)
        (tmp_path / "a.py").touch()
        assert "did you mean: rewind-run python a.py" in refused(rewind_run(*mode, "a.py"), 127)

    def test_not_executable(self, rewind_run, tmp_path) -> None:
        (tmp_path / "a.py").touch()
        assert "Permission denied" in refused(rewind_run("./a.py"), 126)
        assert "Is a directory" in refused(rewind_run("./home"), 126)
        (tmp_path / "a.py").write_text("print()")
        (tmp_path / "a.py").chmod(0o755)
        assert "Exec format error" in refused(rewind_run("./a.py"), 126)
        (tmp_path / "a.py").write_text("#!/no/such/python\n")
        assert "interpreter is missing" in refused(rewind_run("./a.py"), 126)

    def test_changes_nothing_on_disk(self, rewind_run, tmp_path) -> None:
        rewind_run("no-such-command")
        rewind_run("true")
        assert names(tmp_path) == ["home"]
        assert names(tmp_path / "home") == []


class TestStore:
    def test_foreign_or_unreadable_is_refused(self, rewind_run, tmp_path) -> None:
        (tmp_path / "notes.txt").write_text("x" * 200)
        assert "not a store of rewind-auto" in refused(rewind_run("--store", "notes.txt", "true"))
        assert "is a directory" in refused(rewind_run("--store", ".", "true"))
        assert (tmp_path / "notes.txt").read_text() == "x" * 200

    def test_is_no_matter_when_off(self, rewind_run) -> None:
        assert rewind_run("--off", "--store", ".", "true").returncode == 0

    def test_is_looked_at_without_sqlite(self, store_path, environ) -> None:
        open_store(str(store_path)).begin(Session("0" * 32))
        code = """
import os, sys
def become(*args):
    heavy = {"sqlite3", "asyncio", "json", "logging", "rich", "opentelemetry", "subprocess"}
    print(*sorted(heavy & set(sys.modules)), flush=True)
    os._exit(0)
os.execvpe = become
sys.argv = ["rewind-run", "true"]
from rewind_auto.cli import run
run.main()
"""
        done = subprocess.run([PY, "-c", code], env=environ, capture_output=True, text=True, check=True)
        assert done.stdout == "\n", done


class TestBecomesTheCommand:
    def test_same_process(self, launcher, environ) -> None:
        process = subprocess.Popen(
            [*launcher, PY, "-c", SHOW], env=environ, stdout=subprocess.PIPE, text=True
        )
        found = json.loads(process.communicate()[0])
        assert found["pid"] == process.pid
        assert found["env"]["REWIND_ROOT_PID"] == str(process.pid)

    def test_exit_code(self, rewind_run) -> None:
        assert rewind_run("sh", "-c", "exit 7").returncode == 7
        assert rewind_run(PY, "-c", "raise SystemExit(3)").returncode == 3

    def test_signal(self, rewind_run) -> None:
        assert rewind_run("sh", "-c", "kill -TERM $$").returncode == -signal.SIGTERM

    def test_standard_streams(self, rewind_run) -> None:
        done = rewind_run("sh", "-c", "cat; echo err >&2", stdin="in")
        assert (done.stdout, done.stderr) == ("in", "err\n")

    def test_signals_are_as_the_shell_left_them(self, launcher, environ) -> None:
        """Python ignores SIGPIPE for itself, and what is ignored stays so across exec."""
        command = ["grep", "SigIgn", "/proc/self/status"]

        def ignored(words):
            done = subprocess.run(words, capture_output=True, text=True, check=True, env=environ)
            # Without 32 and 33, which are glibc's own: its posix_spawn leaves them ignored.
            return int(done.stdout.split()[1], 16) & ~(3 << 31)

        assert ignored([*launcher, *command]) == ignored(command)
        ignoring = f"trap '' INT; exec {shlex.join([*launcher, *command])}"
        assert ignored(["sh", "-c", ignoring]) == ignored(command) | 1 << (signal.SIGINT - 1)

    def test_pipe_that_closes_early(self, launcher, environ) -> None:
        line = f"{' '.join(launcher)} yes | head -1"
        done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True, env=environ)
        assert (done.stdout, done.stderr) == ("y\n", "")

    def test_shell_scripts_hand_it_on(self, rewind_run, tmp_path) -> None:
        (tmp_path / "x.sh").write_text(
            f"{PY} -c 'import sys; print(\"rewind_auto.boot.tripwire\" in sys.modules)'"
        )
        assert rewind_run("sh", "x.sh").stdout == "True\n"

    def test_terminal_interrupt(self, launcher, environ) -> None:
        process = subprocess.Popen(
            [*launcher, PY, "-c", "import time; print('up', flush=True)\nwhile True: time.sleep(0.05)"],
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert "KeyboardInterrupt" in process.communicate(timeout=20)[1]
        assert process.returncode == -signal.SIGINT


class TestIsolatedPython:
    def test_recording_nothing_is_told(self, rewind_run) -> None:
        done = rewind_run(PY, "-I", "-c", "print('on')")
        assert done.stdout == "on\n"
        assert "nothing is recorded" in done.stderr
        assert rewind_run("--off", PY, "-I", "-c", "print('on')").stderr == ""

    def test_also_behind_env_and_a_scripts_first_line(self, rewind_run, tmp_path) -> None:
        (tmp_path / "tool").write_text(f"#!{PY} -E\nprint('on')")
        (tmp_path / "tool").chmod(0o755)
        for command in (("./tool",), ("env", "-i", PY, "-c", "print('on')")):
            done = rewind_run(*command)
            assert (done.returncode, done.stdout) == (0, "on\n")
            (line,) = done.stderr.splitlines()
            assert line.endswith("so the agent will not be loaded: nothing is recorded")
            assert "would not be loaded" in refused(rewind_run("--replay", "last", *command))

    def test_replaying_nothing_is_refused(self, rewind_run) -> None:
        assert "would not be loaded" in refused(rewind_run("--replay", "last", PY, "-E", "-c", "print('on')"))


class TestInfo:
    def test_says_and_runs_nothing(self, rewind_run, tmp_path, store_path) -> None:
        (tmp_path / "a.py").write_text("open('ran', 'w')")
        done = rewind_run("--info", "--hosts", "a.test", PY, "a.py")
        assert (done.returncode, done.stderr) == (0, "")
        rows = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
        assert rows["mode"] == "record"
        assert rows["name"] == "a"
        assert rows["store"] == f"{store_path} (will be made)"
        assert "a.test" in rows["hosts"]
        assert rows["inject"] == inject_dir()
        assert rows["command"] == PY
        assert rows["python"].startswith("3.")
        assert rows["package"].startswith(f"rewind_auto {rewind_auto.__version__} in ")
        assert names(tmp_path) == ["a.py", "home"]

    def test_looks_through_a_console_script(self, rewind_run, tmp_path) -> None:
        (tmp_path / "tool").write_text(f"#!{PY}\nprint(1)")
        (tmp_path / "tool").chmod(0o755)
        rows = dict(line.split(maxsplit=1) for line in rewind_run("--info", "./tool").stdout.splitlines())
        assert PY in rows["python"]
        assert "package" in rows
        assert "not a Python program" in rewind_run("--info", "sh", "x.sh").stdout

    def test_needs_no_command_but_right_options(self, rewind_run) -> None:
        assert rewind_run("--info").returncode == 0
        refused(rewind_run("--info", "--speed", "x"))
        refused(rewind_run("--info", "--replay", "nothing", "true"))
        refused(rewind_run("--info", "--store", ".", "true"))

    def test_names_what_keeps_the_agent_out(self, rewind_run) -> None:
        assert "warning" in rewind_run("--info", PY, "-I", "a.py").stdout
        assert "not found" in rewind_run("--info", "no-such-command").stdout


def test_starts_fast(launcher, environ) -> None:
    """What is loaded decides; times are for the benchmarks."""
    code = "import sys; from rewind_auto.cli import run; print(len(sys.modules))"
    count = int(
        subprocess.run([PY, "-c", code], env=environ, capture_output=True, text=True, check=True).stdout
    )
    assert count < 120
    started = time.monotonic()
    subprocess.run([*launcher, "true"], env=environ, check=True)
    assert time.monotonic() - started < 5
