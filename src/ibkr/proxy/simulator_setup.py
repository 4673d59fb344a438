"""Sets up a simulated gateway like the recorded one: its accounts, ids, instruments and positions."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ibkr.proxy.recording_reader import Recording
from ibkr.simulator.market.instrument_loader import SHIPPED, load_instruments

_KINDS = ("STK", "CASH", "FUT", "IND", "CFD", "CMDTY", "CRYPTO", "FUND")
"""Security types that can be added to the simulator's instruments with the fields of a message."""

_PRICE = 100.0


def gateway_options(recording: Recording, folder: Path) -> dict[str, Any]:
    """Return the arguments of a `Gateway`. If there are new instruments, a file of them is written to the folder."""
    accounts: list[str] = []
    order_id = 1
    contracts: dict[int, dict[str, Any]] = {}
    holdings: dict[tuple[str, int], tuple[str, int, float, float]] = {}
    for entry in recording.entries:
        fields = entry.fields or {}
        if entry.name == "managedAccounts" and not accounts:
            accounts = [account for account in str(fields.get("accounts", "")).split(",") if account]
        elif entry.name == "nextValidId" and order_id == 1:
            order_id = int(fields.get("order_id") or 1)
        if not entry.is_request and isinstance(fields.get("con_id"), int):
            known = contracts.setdefault(fields["con_id"], {})
            known.update({name: value for name, value in fields.items() if value not in (None, "")})
        if entry.name == "position" and fields.get("account"):
            key = (fields["account"], fields["con_id"])
            held = (float(fields.get("position") or 0), float(fields.get("average_cost") or 0))
            holdings.setdefault(key, (*key, *held))
    options: dict[str, Any] = {
        "server_version": recording.header.server_version,
        "accounts": tuple(accounts) or ("DU0000001",),
        "next_order_id": order_id,
        "on_rate": "off",
        "id_hold": 0.0,
        "lines": 1000,
    }
    if any(entry.name == "positionEnd" for entry in recording.entries):
        options["holdings"] = list(holdings.values())
    if new := list(_new_instruments(contracts)):
        path = folder / "instruments.toml"
        path.write_text(SHIPPED.read_text(encoding="utf-8") + "\n" + "\n".join(new), encoding="utf-8")
        options["instruments"] = path
    return options


def _new_instruments(contracts: Mapping[int, Mapping[str, Any]]) -> Iterator[str]:
    """Yield entries for the contracts that the simulator does not know."""
    shipped = load_instruments()
    for con_id, fields in contracts.items():
        kind = fields.get("sec_type")
        if con_id <= 0 or kind not in _KINDS or shipped.by_con_id(con_id) is not None or not fields.get("symbol"):
            continue
        exchange = fields.get("exchange") or fields.get("primary_exchange")
        values: dict[str, Any] = {
            "con_id": con_id,
            "symbol": fields["symbol"],
            "sec_type": kind,
            "price": _price(fields),
            "exchange": {"STK": "SMART", "CASH": "IDEALPRO"}.get(str(kind), exchange or "SMART"),
            **{
                name: fields[name]
                for name in ("local_symbol", "currency", "primary_exchange", "trading_class", "long_name", "multiplier")
                if isinstance(fields.get(name), str)
            },
        }
        date = str(fields.get("last_trade_date") or fields.get("last_trade_date_and_time") or "")[:8]
        if kind == "FUT" and date.isdecimal():
            values["last_trade_date"] = date
        if isinstance(fields.get("min_tick"), float) and fields["min_tick"] > 0:
            values["min_tick"] = fields["min_tick"]
        yield "[[instrument]]\n" + "\n".join(f"{name} = {json.dumps(value)}" for name, value in values.items()) + "\n"


def _price(fields: Mapping[str, Any]) -> float:
    """Return the first price of an instrument: a recorded market price, cost or price, or else a default price."""
    for name in ("market_price", "average_cost", "price"):
        value = fields.get(name)
        if isinstance(value, float) and 0 < value < 1e9:
            return value
    return _PRICE
