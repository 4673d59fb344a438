"""A stand-in for the java that runs IBC and the gateway: their log lines, events, command server and exit codes.

It is started as ``ibcstart.sh`` starts java, and reads IBC's config.ini. Behind its API port is a simulated gateway
that the test runs: orders and positions remain after this process, as at the broker. The folder ``STAND_IN`` holds

- ``plan.json``: ``api_port``, ``broker_port``, ``logins`` (what the next logins do, in turn; then "ok"),
  ``restart_login`` (what the login after RESTART does), ``boot`` (seconds that the start takes);
- ``do``: a file with one word that the test writes, and that is gone once it is done:
  approve, hang, wake, crash, exit CODE, window TITLE, nightly;
- ``java.pid``: written here.

What a login does: ok, second factor, refused, elsewhere, window, never.
"""

import asyncio
import json
import os
import signal
import sys
from contextlib import suppress
from datetime import datetime
from pathlib import Path

FOLDER = Path(os.environ.get("STAND_IN", "."))
SECOND_FACTOR_TIMED_OUT, LOGIN_DIALOG_MISSING = 1111, 1112


def say(words: str) -> None:
    """Print a line as IBC does."""
    now = datetime.now()
    print(f"{now:%Y-%m-%d %H:%M:%S}:{now.microsecond // 1000:03d} IBC: {words}", flush=True)


class Gateway:
    """One run of the program."""

    def __init__(self, ini: Path, options: dict[str, str]) -> None:
        lines = [line for line in ini.read_text(encoding="latin-1").splitlines() if line[:1] != "#"]
        self.ini = dict(line.partition("=")[::2] for line in lines if "=" in line)
        self.options = options
        self.plan = json.loads((FOLDER / "plan.json").read_text(encoding="utf-8"))
        self.approved = asyncio.Event()
        self.awake = asyncio.Event()
        self.awake.set()
        self.is_logged_in = False
        self.tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        (FOLDER / "java.pid").write_text(str(os.getpid()), encoding="ascii")
        await asyncio.sleep(self.plan.get("boot", 0))
        port = int(self.ini.get("CommandServerPort") or 0)
        if 0 < port < 65536:
            await asyncio.start_server(self.serve_commands, "127.0.0.1", port)
            say("CommandServer started and is ready to accept commands")
        logging_in = asyncio.create_task(self.log_in())
        await asyncio.gather(self.take_orders(), logging_in)

    async def log_in(self) -> None:
        if "restart" in self.options:
            (FOLDER / "settings" / self.options["restart"] / "autorestart").unlink()
            say("Re-starting session")
            login = self.plan.get("restart_login", "ok")
        else:
            say("Starting session: will exit if login dialog is not displayed within 60 seconds")
            logins = self.plan.get("logins") or ["ok"]
            login = logins[0]
            self.plan["logins"] = logins[1:]
            (FOLDER / "plan.json").write_text(json.dumps(self.plan), encoding="utf-8")
        if login == "never":
            self.fail("IBC closing after TWS/Gateway failed to display login dialog", LOGIN_DIALOG_MISSING)
        self.event("LOGIN_STARTED")
        say("detected frame entitled: Login; event=Opened")
        if login == "refused":
            say("Login failed")
            self.event("LOGIN_FAILED", "Invalid username or password")
            return
        if login == "elsewhere":
            say("detected dialog entitled: Existing session detected; event=Opened")
            say("End this session and let the other session proceed (scenario 2)")
            self.event("LOGIN_FAILED", "Existing session detected")
            return
        if login == "window":
            self.open_window("Prediction Markets")
            return
        if login == "second factor":
            say("detected dialog entitled: Second Factor Authentication; event=Opened")
            say("Second Factor Authentication initiated")
            self.event("TWO_FA_REQUIRED")
            await self.approved.wait()
        await self.complete_login()

    async def complete_login(self) -> None:
        self.is_logged_in = True
        await asyncio.start_server(self.forward, "127.0.0.1", self.plan["api_port"])
        say("Login has completed")
        self.event("LOGGED_IN")

    def open_window(self, title: str) -> None:
        say(f"detected dialog entitled: {title}; event=Opened")
        if self.ini.get("LogStructureScope") == "unknown":
            say(f"Window structure for dialog entitled: {title}; event=Opened")
            print("javax.swing.JDialog", flush=True)
        self.event("UNKNOWN_WINDOW", f"{title}: some text")

    def event(self, kind: str, detail: str = "") -> None:
        """Write an event as ibc2's IBC does."""
        path = self.ini.get("EventLogFile")
        if path:
            with open(path, "a", encoding="utf-8") as file:
                file.write(json.dumps({"ts": datetime.now().isoformat(), "type": kind, "detail": detail}) + "\n")

    def fail(self, words: str, code: int) -> None:
        print("!" * 79)
        say(words)
        print("!" * 79)
        say(f"Exiting after error with exit code={code}")
        self.event("EXIT", str(code))
        os._exit(code % 256)

    async def take_orders(self) -> None:
        order = FOLDER / "do"
        while True:
            if order.exists():
                verb, _, rest = order.read_text(encoding="utf-8").partition(" ")
                order.unlink()
                self.obey(verb, rest)
            await asyncio.sleep(0.02)

    def obey(self, verb: str, rest: str) -> None:
        if verb == "approve":
            self.approved.set()
        elif verb == "hang":
            self.awake.clear()
        elif verb == "wake":
            self.awake.set()
        elif verb == "crash":
            os.kill(os.getpid(), signal.SIGKILL)
        elif verb == "exit":
            code = int(rest)
            if code == SECOND_FACTOR_TIMED_OUT:
                self.fail("IBC closing because login has not completed after Second Factor Authentication", code)
            self.fail("an error", code)
        elif verb == "window":
            self.open_window(rest)
        elif verb == "nightly":
            self.auto_restart()

    def auto_restart(self) -> None:
        """Restart as at the time set in the gateway, or as after the command RESTART: the next start needs no login."""
        folder = FOLDER / "settings" / "abcdef"
        folder.mkdir(exist_ok=True)
        (folder / "autorestart").write_text("", encoding="ascii")
        os._exit(0)

    async def forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """The API port: forward to the simulated gateway, unless the program hangs."""
        await self.awake.wait()
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self.plan["broker_port"])
        except OSError:
            writer.close()
            return
        await asyncio.gather(self.pump(reader, back), self.pump(there, writer))

    async def pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                await self.awake.wait()
                writer.write(data)
        writer.close()

    async def serve_commands(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def reply(words: str) -> None:
            writer.write(f"{words}\n".encode())

        prompt = self.ini.get("CommandPrompt", "").encode()
        if self.ini.get("SuppressInfoMessages") == "no":
            reply("INFO IBC Command Server")
        with suppress(OSError):
            while command := (await reader.readline()).decode().strip().upper():
                say(f"CommandServer received command: {command}")
                if command == "EXIT":
                    reply("OK Goodbye")
                    break
                if command == "STOP":
                    reply("OK Shutting down: STOP command")
                    await writer.drain()
                    os._exit(0)
                if command == "RESTART" and self.is_logged_in:
                    say("RestartTask: verb = RESTART")
                    reply("OK RESTART in progress")
                    await writer.drain()
                    await self.awake.wait()  # the menu works only if the program does not hang
                    self.auto_restart()
                elif command in ("RECONNECTDATA", "RECONNECTACCOUNT"):
                    reply("OK ")
                else:
                    reply("ERROR Command invalid")
                writer.write(prompt)
        writer.close()


def main(words: list[str]) -> None:
    if "-XshowSettings:properties" in words:
        print("    java.runtime.version = 17.0.15")
        return
    options = dict(word[2:].partition("=")[::2] for word in words if word.startswith("-D"))
    ini = next(word for word, before in zip(words[1:], words, strict=False) if before.startswith("ibcalpha.ibc."))
    asyncio.run(Gateway(Path(ini), options).run())


if __name__ == "__main__":
    main(sys.argv[1:])
