"""One program with two gateways: python two_gateways.py [PORT [PORT]]. If one fails, the other continues."""

import asyncio
import sys
from contextlib import suppress

from ibkr import IBConnector, Status

PORTS = [int(port) for port in sys.argv[1:]] or [7497, 4002]


async def main() -> None:
    connectors = [IBConnector("127.0.0.1", port, client_id=3) for port in PORTS]

    def show(status: Status) -> None:
        print(" | ".join(f"{connector.port} {connector.status.state}" for connector in connectors))

    for connector in connectors:
        connector.on_status(show)
    try:
        await asyncio.gather(*(connector.connect_async(wait=True) for connector in connectors))
        await asyncio.Event().wait()
    finally:
        await asyncio.gather(*(connector.disconnect_async() for connector in connectors))


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):  # Ctrl-C ends it
        asyncio.run(main())
