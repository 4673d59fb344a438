"""A stand-in for the ``docker`` command: start, stop, restart, inspect, events and logs of one container.

The container is a start script with the stand-in java, under a small init process that outlives this program. Its
state is in the folder ``STAND_IN``: ``container.json``, ``container.log`` and ``docker-events``.
"""

import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

FOLDER = Path(os.environ["STAND_IN"])
STATE, LOG, EVENTS = FOLDER / "container.json", FOLDER / "container.log", FOLDER / "docker-events"


def read() -> dict:
    return json.loads(STATE.read_text(encoding="utf-8"))


def write(**changes: object) -> None:
    values = {**(read() if STATE.exists() else {}), **changes}
    fresh = STATE.with_suffix(".new")
    fresh.write_text(json.dumps(values), encoding="utf-8")
    fresh.replace(STATE)


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z")


def tell(action: str, **attributes: str) -> None:
    actor = {"ID": "4f66ad9a", "Attributes": {"image": "ghcr.io/gnzsnz/ib-gateway", "name": "ib-gateway", **attributes}}
    line = {"status": action, "Type": "container", "Action": action, "Actor": actor, "timeNano": time.time_ns()}
    with EVENTS.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def run_container() -> None:
    """Run the container: write its output, with the time of each line, and note its end."""
    command = read()["command"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    write(running=True, pid=process.pid, started=now())
    tell("start")
    for line in process.stdout:
        with LOG.open("a", encoding="utf-8") as file:
            file.write(f"{now()} {line}")
    code = process.wait()
    code = 128 - code if code < 0 else code
    again = read()["policy"] == "always" and not read().get("stopped")  # "docker restart" continues at the next line
    write(running=False, pid=0, exit_code=code)
    tell("die", exitCode=str(code))
    if again:
        run_container()


def start() -> None:
    if not read()["running"]:
        write(stopped=False, starting=True)
        before = read()["started"]
        subprocess.Popen(
            [sys.executable, __file__, "--container"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        wait(lambda: read()["started"] != before)


def stop() -> None:
    state = read()
    if state["running"]:
        write(stopped=True)
        tell("kill", signal="15")
        os.killpg(state["pid"], signal.SIGTERM)
        deadline = time.monotonic() + 3
        while read()["running"]:
            if time.monotonic() > deadline:
                os.killpg(state["pid"], signal.SIGKILL)
            time.sleep(0.01)
        tell("stop")


def wait(holds) -> None:
    while not holds():
        time.sleep(0.01)


def follow(path: Path, show) -> None:
    position = 0
    while True:
        if path.exists():
            *lines, _ = path.read_bytes()[position:].split(b"\n")
            for line in lines:
                show(f"{line.decode()}\n")
            position += sum(len(line) + 1 for line in lines)
        time.sleep(0.02)


def logs(words: list[str]) -> None:
    since = words[words.index("--since") + 1] if "--since" in words else ""
    tail = int(words[words.index("--tail") + 1]) if "--tail" in words else None

    def show(line: str) -> None:
        if line.partition(" ")[0] >= since:
            print(line if "--timestamps" in words else line.partition(" ")[2], end="", flush=True)

    if "--follow" in words:
        follow(LOG, show)
    lines = LOG.read_text(encoding="utf-8").splitlines(keepends=True) if LOG.exists() else []
    for line in lines if tail is None else lines[-tail:]:
        show(line)


def main(words: list[str]) -> None:
    if words == ["--container"]:
        run_container()
        return
    if not STATE.exists():
        sys.exit("Error response from daemon: No such container: ib-gateway")
    commands = {
        "start": start,
        "stop": stop,
        "restart": lambda: (stop(), start()),
        "inspect": inspect,
        "events": lambda: events(words),
    }
    commands["logs"] = lambda: logs(words)
    if words[0] not in commands:
        sys.exit(f"docker: '{words[0]}' is not a docker command")
    commands[words[0]]()


def inspect() -> None:
    state = read()
    told = {
        "state": {
            "Status": "running" if state["running"] else "exited",
            "Running": state["running"],
            "Pid": state["pid"],
            "ExitCode": state["exit_code"],
            "StartedAt": state["started"],
        },
        "policy": {"Name": state["policy"], "MaximumRetryCount": 0},
    }
    print(json.dumps(told))


def events(words: list[str]) -> None:
    """The events since a time, and the new ones."""
    since = float(words[words.index("--since") + 1]) * 1e9
    EVENTS.touch()
    follow(EVENTS, lambda line: json.loads(line)["timeNano"] >= since and print(line, end="", flush=True))


if __name__ == "__main__":
    main(sys.argv[1:])
