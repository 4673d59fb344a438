"""A gateway that answers start-up, and otherwise sends bad messages: ``hostile_gateway.py SEED``. Prints its port.

Each connection gets random bytes in frames, mutated messages, floods of notices, and names of a megabyte.
"""

from __future__ import annotations

import asyncio
import random
import struct
import sys
import time

TEMPLATES = [
    ["1", "6", "3", "1", "230.5", "100", "0"],
    ["2", "6", "3", "0", "300"],
    ["4", "2", "-1", "2104", "Market data farm connection is OK:usfarm", ""],
    ["4", "2", "-1", "2103", "Market data farm connection is broken:usfarm", ""],
    ["4", "2", "-1", "1102", "All data farms are connected: usfarm; ushmds.", ""],
    ["4", "2", "-1", "1101", "restored - data lost", ""],
    ["4", "2", "3", "200", "No security definition", ""],
    ["4", "2", "-1", "399", "a note", ""],
    ["6", "2", "NetLiquidation", "100000.00", "USD", "DU1234567"],
    ["7", "8", "1", "A", "STK", "", "0", "", "", "SMART", "USD", "A", "A", "5", "1", "5", "1", "0", "0", "DU1234567"],
    ["8", "1", "12:00"],
    ["9", "1", "7"],
    ["14", "1", "1", "1", "a bulletin", "ISLAND"],
    ["17", "3", "20260302", "20260303", "1", "20260302", "1", "2", "0.5", "1", "100", "1", "10"],
    ["45", "6", "3", "49", "0"],
    ["46", "6", "3", "45", "1700000000"],
    ["52", "1", "3"],
    ["58", "1", "3", "1"],
    ["61", "3", "DU1234567", "1", "A", "STK", "", "0", "", "", "SMART", "USD", "A", "A", "5", "1.5"],
    ["63", "1", "9", "DU1234567", "NetLiquidation", "1", "USD"],
    ["73", "1", "5", "DU1234567", "", "NetLiquidation", "100000.00", "USD"],
    ["81", "3", "0.01", "", "0"],
    ["94", "9", "nan", "inf", "-inf"],
]
ODD = ["", "-1", "nan", "inf", "9" * 5000, "2147483648", "x", "\x1b[31m", "\n", "é", "1e309", "0x1f", "usfarm" * 30]
ENDS = {"61": ["62", "1"], "5": ["53", "1"], "16": ["53", "1"], "99": ["102"], "6": ["54", "1", "DU1234567"]}


def framed(*fields: str) -> bytes:
    body = "".join(f"{field}\0" for field in fields).encode(errors="replace")
    return struct.pack(">I", len(body)) + body


def nasty(chance: random.Random) -> bytes:
    """One message, or a flood of them."""
    kind = chance.random()
    if kind < 0.1:
        body = chance.randbytes(chance.randrange(200))
        return struct.pack(">I", len(body)) + body
    if kind < 0.1005:
        return framed(*chance.choice(TEMPLATES)[:4], "y" * 1_000_000, "")
    fields = list(chance.choice(TEMPLATES))
    # Replace almost every 1101. Otherwise, the connector would restore its streams all the time and do nothing else.
    if fields[3:4] == ["1101"] and chance.random() > 0.001:
        fields[3] = "1102"
    for _ in range(chance.randrange(3)):
        at = chance.randrange(1, len(fields))
        fields[at] = chance.choice([*ODD, f"{chance.randrange(10**9)}", f"name{chance.randrange(10**6)}"])
    if chance.random() < 0.05:
        del fields[chance.randrange(len(fields))]
    if chance.random() < 0.05:
        fields.append("more")
    return framed(*fields) * (50 if chance.random() < 0.002 else 1)


def answer(fields: list[str]) -> bytes:
    match fields:
        case ["71", *_]:
            return framed("15", "1", "DU1234567") + framed("9", "1", "1")
        case ["49", *_]:
            return framed("49", "1", f"{int(time.time())}")
        case ["7", _, req_id, *_]:
            return framed("55", "1", req_id)
        case ["76", _, req_id, *_]:
            return framed("74", "1", req_id)
        case [kind, *_] if kind in ENDS:
            return framed(*ENDS[kind])
    return b""


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, chance: random.Random) -> None:
    await reader.readexactly(4)
    (length,) = struct.unpack(">I", await reader.readexactly(4))
    await reader.readexactly(length)
    writer.write(framed("178", "20260302 14:30:00 UTC"))
    is_open = asyncio.Event()

    async def listen() -> None:
        while True:
            (length,) = struct.unpack(">I", await reader.readexactly(4))
            fields = (await reader.readexactly(length)).decode().split("\0")
            writer.write(answer(fields))
            if fields[0] == "71":
                is_open.set()

    listening = asyncio.create_task(listen())
    await is_open.wait()
    try:
        while not listening.done():
            writer.write(b"".join(nasty(chance) for _ in range(100)))
            await writer.drain()
            await asyncio.sleep(0.01)
    except ConnectionError:
        pass
    finally:
        listening.cancel()
        writer.close()


async def main() -> None:
    chance = random.Random(int(sys.argv[1]))
    server = await asyncio.start_server(lambda reader, writer: serve(reader, writer, chance), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
