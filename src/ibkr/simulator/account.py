"""Answers about accounts and positions, with the sample data behind them."""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from ibkr.simulator.instruments import BY_SYMBOL, Instrument
from ibkr.simulator.reader import FieldReader
from ibkr.wire import messages

if TYPE_CHECKING:
    from ibkr.simulator.client import Client

MAX_SUMMARIES = 2
"""Account summaries that one client may have standing; the number is from users' reports."""


class Holding(NamedTuple):
    """A sample position; `average_cost` is per share, or per contract with its multiplier."""

    instrument: Instrument
    position: float
    average_cost: float

    @property
    def multiplier(self) -> int:
        return int(self.instrument.multiplier or 1)

    @property
    def market_value(self) -> float:
        return self.position * self.instrument.price * self.multiplier

    @property
    def unrealized_pnl(self) -> float:
        return self.market_value - self.position * self.average_cost


HOLDINGS = (
    Holding(BY_SYMBOL["AAPL"], 100, 201.88),
    Holding(BY_SYMBOL["ES"], -1, 279_500.0),
)

CASH = 1_000_000.0


def account_values() -> Iterator[tuple[str, str, str]]:
    """Key, value, currency of the sample account, in the order that TWS sends them: by key."""
    stocks = sum(h.market_value for h in HOLDINGS if h.instrument.sec_type == "STK")
    unrealized = sum(h.unrealized_pnl for h in HOLDINGS)
    net = CASH + stocks
    margin = 25_000.0
    numbers = {
        "AccruedCash": 0.0,
        "AvailableFunds": net - margin,
        "BuyingPower": 4 * (net - margin),
        "CashBalance": CASH,
        "EquityWithLoanValue": net,
        "ExcessLiquidity": net - margin,
        "FullInitMarginReq": margin,
        "FullMaintMarginReq": margin,
        "GrossPositionValue": stocks,
        "InitMarginReq": margin,
        "MaintMarginReq": margin,
        "NetLiquidation": net,
        "PreviousDayEquityWithLoanValue": net,
        "RealizedPnL": 0.0,
        "SettledCash": CASH,
        "TotalCashBalance": CASH,
        "TotalCashValue": CASH,
        "UnrealizedPnL": unrealized,
    }
    words = {"AccountReady": "true", "AccountType": "INDIVIDUAL", "Cushion": "0.97"}
    rows = [(key, f"{value:.2f}", "USD") for key, value in numbers.items()]
    rows += [(key, value, "") for key, value in words.items()]
    yield from sorted(rows)


def positions(client: "Client", fields: FieldReader) -> None:
    """reqPositions: the positions of all accounts, then the end."""
    fields.int("Version")
    rows = [
        client.encode(
            messages.POSITION,
            account=account,
            exchange=holding.instrument.primary_exchange,
            position=holding.position,
            average_cost=holding.average_cost,
            **holding.instrument.position_fields(),
        )
        for account in client.hub.settings.accounts
        for holding in HOLDINGS
    ]
    client.send(*rows, client.encode(messages.POSITION_END))


def updates(client: "Client", fields: FieldReader) -> None:
    """reqAccountUpdates: values, portfolio, time, end. An empty account is the first one."""
    fields.int("Version")
    is_subscribed = fields.bool("Subscribe")
    account = fields.text("Account Code") or client.hub.settings.accounts[0]
    if not _is_ours(client, account):
        client.send_error(-1, 321, _invalid(account))
    elif is_subscribed:
        client.send(*_download(client, account))


def _download(client: "Client", account: str) -> Iterator[bytes]:
    for key, value, currency in account_values():
        yield client.encode(messages.ACCOUNT_VALUE, key=key, value=value, currency=currency, account=account)
    for holding in HOLDINGS:
        yield client.encode(
            messages.PORTFOLIO_VALUE,
            primary_exchange=holding.instrument.primary_exchange,
            position=holding.position,
            market_price=holding.instrument.price,
            market_value=holding.market_value,
            average_cost=holding.average_cost,
            unrealized_pnl=holding.unrealized_pnl,
            realized_pnl=0.0,
            account=account,
            **holding.instrument.position_fields(),
        )
    yield client.encode(messages.ACCOUNT_TIME, time=time.strftime("%H:%M"))
    yield client.encode(messages.ACCOUNT_DOWNLOAD_END, account=account)


def updates_multi(client: "Client", fields: FieldReader) -> None:
    """reqAccountUpdatesMulti: values of one account, then the end."""
    fields.int("Version")
    req_id = fields.int("Client Req Id")
    account = fields.text("Account") or client.hub.settings.accounts[0]
    model_code = fields.text("Model Code")
    if not _is_ours(client, account):
        client.send_error(req_id, 321, _invalid(account))
        return
    rows = [
        client.encode(
            messages.ACCOUNT_UPDATE_MULTI,
            req_id=req_id,
            account=account,
            model_code=model_code,
            key=key,
            value=value,
            currency=currency,
        )
        for key, value, currency in account_values()
    ]
    client.send(*rows, client.encode(messages.ACCOUNT_UPDATE_MULTI_END, req_id=req_id))


def summary(client: "Client", fields: FieldReader) -> None:
    """reqAccountSummary: the asked tags of every account, sorted by tag, then the end."""
    fields.int("Version")
    req_id = fields.int("Client Req Id")
    fields.text("Group")
    tags = set(fields.text("Tags").split(","))
    if req_id not in client.summaries and len(client.summaries) >= MAX_SUMMARIES:
        text = "Maximum number of account summary requests exceeded"
        client.send_error(req_id, 322, f"Error processing request.-'bN' : cause - {text}")
        return
    client.summaries.add(req_id)
    rows = [
        client.encode(
            messages.ACCOUNT_SUMMARY,
            req_id=req_id,
            account=account,
            tag=key,
            value=value,
            currency=currency,
        )
        for account in client.hub.settings.accounts
        for key, value, currency in account_values()
        if key in tags
    ]
    client.send(*rows, client.encode(messages.ACCOUNT_SUMMARY_END, req_id=req_id))


def cancel_summary(client: "Client", fields: FieldReader) -> None:
    """cancelAccountSummary: no answer."""
    fields.int("Version")
    client.summaries.discard(fields.int("Client Req Id"))


def _is_ours(client: "Client", account: str) -> bool:
    return account in client.hub.settings.accounts


def _invalid(account: str) -> str:
    return f"Error validating request.-'bN' : cause - Invalid account code '{account[:40]}'"
