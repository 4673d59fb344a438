"""Send HTTP requests to examples/fastapi_app.py, while its gateway stops and starts again."""

import time

from fastapi.testclient import TestClient
from fastapi_app import app  # from examples/

from ibkr.simulator import ThreadedGateway


def until(client: TestClient, code: int) -> None:
    deadline = time.monotonic() + 10
    while client.get("/readyz").status_code != code:
        assert time.monotonic() < deadline, client.get("/readyz").text
        time.sleep(0.01)


def drive(gateway: ThreadedGateway) -> None:
    with TestClient(app) as client:
        until(client, 200)
        assert client.get("/contract/AAPL").json() == {"conId": 265598, "exchange": "NASDAQ"}
        assert client.get("/positions").json() == ["AAPL", "ESZ7"]
        gateway.fault("restart", 0.5)
        until(client, 503)
        assert "session" in client.get("/readyz").json()["detail"]
        assert client.get("/contract/AAPL").status_code == 200, "it waits for the connection"
        assert client.get("/positions").json() == ["AAPL", "ESZ7"]
    gateway.wait_for(lambda gateway: not gateway.client_ids)
