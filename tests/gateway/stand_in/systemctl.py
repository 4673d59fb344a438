"""A stand-in for ``systemctl`` and ``journalctl``: start, stop, restart and show of one unit.

The unit runs the stand-in java under a small service manager that outlives this program. Its state is in the
folder ``STAND_IN``: ``unit.json`` and ``unit.log``.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

FOLDER = Path(os.environ["STAND_IN"])
STATE, LOG = FOLDER / "unit.json", FOLDER / "unit.log"


def read() -> dict:
    return json.loads(STATE.read_text(encoding="utf-8"))


def write(**changes: object) -> None:
    fresh = STATE.with_suffix(".new")
    fresh.write_text(json.dumps({**read(), **changes}), encoding="utf-8")
    fresh.replace(STATE)


def run_unit() -> None:
    state = read()
    with LOG.open("a", encoding="utf-8") as log:
        process = subprocess.Popen(state["command"], stdout=log, stderr=log, start_new_session=True)
    write(ActiveState="active", SubState="running", MainPID=process.pid)
    code = process.wait()
    is_wanted = read().get("stopped", False) or code == 0
    killed = {"ExecMainCode": 2, "ExecMainStatus": -code} if code < 0 else {"ExecMainCode": 1, "ExecMainStatus": code}
    again = read()["Restart"] != "no" and not is_wanted
    active = "activating" if again else "inactive" if is_wanted else "failed"
    write(ActiveState=active, SubState="auto-restart" if again else "dead", MainPID=0, **killed)
    if again:
        time.sleep(1.0)
        run_unit()


def start() -> None:
    if read()["MainPID"]:
        return
    write(stopped=False, ActiveState="activating")
    quiet = subprocess.DEVNULL
    subprocess.Popen(
        [sys.executable, __file__, "--unit"], stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True
    )
    while not read()["MainPID"]:
        time.sleep(0.01)


def stop() -> None:
    pid = read()["MainPID"]
    if pid:
        write(stopped=True)
        os.killpg(pid, signal.SIGTERM)
        while read()["MainPID"]:
            time.sleep(0.01)


def main(words: list[str]) -> None:
    if words == ["--unit"]:
        run_unit()
        return
    words = [word for word in words if word != "--user"]
    if "--unit" in words:
        print(LOG.read_text(encoding="utf-8"), end="")
        return
    if words[0] == "show":
        if not STATE.exists():
            print("LoadState=not-found\nActiveState=inactive\nSubState=dead\nMainPID=0\nRestart=no")
            return
        state = read()
        for key, value in state.items():
            if key[0].isupper():
                print(f"{key}={state.get('ShownPID', value) if key == 'MainPID' else value}")
        return
    if not STATE.exists():
        sys.exit(f"Failed to {words[0]} {words[1]}: Unit {words[1]} not found.")
    {"start": start, "stop": stop, "restart": lambda: (stop(), start())}[words[0]]()


if __name__ == "__main__":
    main(sys.argv[1:])
