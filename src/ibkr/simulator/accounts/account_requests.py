"""Answer the requests about accounts, positions, and PnL. Most answers continue until the request is cancelled."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from ibkr.simulator.accounts.account_streams import ACCOUNT_EVERY, PNL_EVERY
from ibkr.simulator.accounts.account_values import account_values, ledger_values
from ibkr.simulator.broker import order_checks
from ibkr.simulator.broker.portfolio import Position
from ibkr.simulator.gateway_state import ClientSession
from ibkr.simulator.requests.field_reader import FieldReader
from ibkr.simulator.requests.request_helpers import NO_ID, refuse
from ibkr.wire import messages, order_messages

MAX_SUMMARIES = 2
"""Account summaries that one client may have at the same time. The number comes from reports of users."""

_ALL = "All"
_UNSUBSCRIBED = "New account data requested from TWS.  API client has been unsubscribed from account data."


def positions(client: ClientSession, fields: FieldReader) -> None:
    """reqPositions: the positions of all accounts, then the end. Changes follow."""
    fields.int("Version")

    def rows() -> Iterator[bytes]:
        for account in client.state.settings.accounts:
            for held in client.state.order_handler.portfolio.positions(account):
                yield client.encode(messages.POSITION, **_position(held))

    client.send(*client.account_streams.start("reqPositions", 0, rows), client.encode(messages.POSITION_END))


def cancel_positions(client: ClientSession, fields: FieldReader) -> None:
    """cancelPositions: no answer."""
    fields.int("Version")
    client.account_streams.end("reqPositions")


def positions_multi(client: ClientSession, fields: FieldReader) -> None:
    """reqPositionsMulti: the positions of one account, or of all, then the end. Changes follow."""
    fields.int("Version")
    req_id = fields.int("Client Req Id")
    wanted, model_code = fields.text("Account"), fields.text("Model Code")
    if accounts := _accounts(client, req_id, wanted):

        def rows() -> Iterator[bytes]:
            for account in accounts:
                for held in client.state.order_handler.portfolio.positions(account):
                    values = {**_position(held), "req_id": req_id, "model_code": model_code}
                    yield client.encode(order_messages.POSITION_MULTI, **values)

        end = client.encode(order_messages.POSITION_MULTI_END, req_id=req_id)
        client.send(*client.account_streams.start("reqPositionsMulti", req_id, rows), end)


def cancel_positions_multi(client: ClientSession, fields: FieldReader) -> None:
    """cancelPositionsMulti: no answer."""
    fields.int("Version")
    client.account_streams.end("reqPositionsMulti", fields.int("Client Req Id"))


def updates(client: ClientSession, fields: FieldReader) -> None:
    """reqAccountUpdates: values, portfolio, time, end. Changes follow, for one account at a time.

    An empty account means the first account.
    """
    fields.int("Version")
    is_subscribed = fields.bool("Subscribe")
    account = fields.text("Account Code") or client.state.settings.accounts[0]
    if account not in client.state.settings.accounts:
        client.send_error(-1, *_invalid(account))
        return
    has_ended = client.account_streams.end("reqAccountUpdates")
    if is_subscribed:
        if has_ended and account != client.account:
            client.send_error(-1, 2100, _UNSUBSCRIBED)
        client.account = account
        rows = client.account_streams.start("reqAccountUpdates", 0, lambda: _download(client, account), ACCOUNT_EVERY)
        client.send(*rows, client.encode(messages.ACCOUNT_DOWNLOAD_END, account=account))


def _download(client: ClientSession, account: str) -> Iterator[bytes]:
    portfolio = client.state.order_handler.portfolio
    for key, value, currency in account_values(portfolio, account):
        yield client.encode(messages.ACCOUNT_VALUE, key=key, value=value, currency=currency, account=account)
    for held in portfolio.positions(account):
        price, contract = portfolio.price(held.instrument), held.instrument.position_fields()
        yield client.encode(
            messages.PORTFOLIO_VALUE,
            primary_exchange=held.instrument.primary_exchange,
            position=held.quantity,
            market_price=price,
            market_value=round(held.value(price), 2),
            average_cost=round(held.average_cost, 8),
            unrealized_pnl=round(held.unrealized_pnl(price), 2),
            realized_pnl=round(held.realized_pnl, 2),
            account=account,
            **{**contract, "right": held.instrument.right or "0"},
        )
    yield client.encode(messages.ACCOUNT_TIME, time=time.strftime("%H:%M"))


def updates_multi(client: ClientSession, fields: FieldReader) -> None:
    """reqAccountUpdatesMulti: the values of one account, or of "All", then the end. Changes follow.

    An empty account means the first account.
    """
    fields.int("Version")
    req_id = fields.int("Client Req Id")
    wanted, model_code = fields.text("Account"), fields.text("Model Code")
    if accounts := _accounts(client, req_id, wanted or client.state.settings.accounts[0]):

        def rows() -> Iterator[bytes]:
            for account in accounts:
                for key, value, currency in account_values(client.state.order_handler.portfolio, account):
                    yield client.encode(
                        messages.ACCOUNT_UPDATE_MULTI,
                        req_id=req_id,
                        account=account,
                        model_code=model_code,
                        key=key,
                        value=value,
                        currency=currency,
                    )

        first = client.account_streams.start("reqAccountUpdatesMulti", req_id, rows, ACCOUNT_EVERY)
        client.send(*first, client.encode(messages.ACCOUNT_UPDATE_MULTI_END, req_id=req_id))


def cancel_updates_multi(client: ClientSession, fields: FieldReader) -> None:
    """cancelAccountUpdatesMulti: no answer."""
    fields.int("Version")
    client.account_streams.end("reqAccountUpdatesMulti", fields.int("Client Req Id"))


def summary(client: ClientSession, fields: FieldReader) -> None:
    """reqAccountSummary: the requested tags of every account, sorted by tag, then the end. Changes follow."""
    fields.int("Version")
    req_id = fields.int("Client Req Id")
    group, tags = fields.text("Group"), fields.text("Tags").split(",")
    others = client.account_streams.count("reqAccountSummary") - client.account_streams.has("reqAccountSummary", req_id)
    if others >= MAX_SUMMARIES:
        refuse(client, req_id, 322, "Maximum number of account summary requests exceeded")
    elif accounts := _accounts(client, req_id, group):
        rows = client.account_streams.start(
            "reqAccountSummary", req_id, lambda: _summary(client, req_id, accounts, tags), ACCOUNT_EVERY
        )
        client.send(*rows, client.encode(messages.ACCOUNT_SUMMARY_END, req_id=req_id))


def _summary(client: ClientSession, req_id: int, accounts: Sequence[str], tags: Sequence[str]) -> Iterator[bytes]:
    portfolio = client.state.order_handler.portfolio
    for account in accounts:
        wanted = [row for row in account_values(portfolio, account) if row[0] in tags]
        for tag in tags:
            if tag.startswith("$LEDGER"):
                wanted += ledger_values(portfolio, account, tag.partition(":")[2])
        for key, value, currency in sorted(wanted):
            yield client.encode(
                messages.ACCOUNT_SUMMARY, req_id=req_id, account=account, tag=key, value=value, currency=currency
            )


def cancel_summary(client: ClientSession, fields: FieldReader) -> None:
    """cancelAccountSummary: no answer."""
    fields.int("Version")
    client.account_streams.end("reqAccountSummary", fields.int("Client Req Id"))


def pnl(client: ClientSession, fields: FieldReader) -> None:
    """reqPnL: daily, unrealized, and realized profit of an account, about once a second while it changes."""
    req_id, account = fields.int("Client Req Id"), fields.text("Account")
    fields.text("Model Code")
    if accounts := _accounts(client, req_id, account):
        _begin_pnl(client, "reqPnL", req_id, lambda: [_pnl(client, req_id, accounts)])


def _pnl(client: ClientSession, req_id: int, accounts: Sequence[str]) -> bytes:
    portfolio = client.state.order_handler.portfolio
    return client.encode(
        order_messages.PNL,
        req_id=req_id,
        daily_pnl=_sum(portfolio.daily_pnl(account) for account in accounts),
        unrealized_pnl=_sum(portfolio.unrealized_pnl(account) for account in accounts),
        realized_pnl=_sum(portfolio.realized_pnl(account) for account in accounts),
    )


def cancel_pnl(client: ClientSession, fields: FieldReader) -> None:
    """cancelPnL: no answer."""
    _end_pnl(client, "reqPnL", fields.int("Client Req Id"))


def pnl_single(client: ClientSession, fields: FieldReader) -> None:
    """reqPnLSingle: like reqPnL, for one position. Without a position, there is no answer yet."""
    req_id, account = fields.int("Client Req Id"), fields.text("Account")
    fields.text("Model Code")
    con_id = fields.int("Con Id")
    if accounts := _accounts(client, req_id, account):
        _begin_pnl(client, "reqPnLSingle", req_id, lambda: _pnl_single(client, req_id, accounts, con_id))


def _pnl_single(client: ClientSession, req_id: int, accounts: Sequence[str], con_id: int) -> list[bytes]:
    portfolio = client.state.order_handler.portfolio
    held = [item for account in accounts if (item := portfolio.position(account, con_id))]
    if not held:
        return []
    price = portfolio.price(held[0].instrument)
    return [
        client.encode(
            order_messages.PNL_SINGLE,
            req_id=req_id,
            position=_sum(item.quantity for item in held),
            daily_pnl=_sum(item.daily_pnl(price) for item in held),
            unrealized_pnl=_sum(item.unrealized_pnl(price) for item in held),
            realized_pnl=_sum(item.realized_pnl for item in held),
            value=_sum(item.value(price) for item in held),
        )
    ]


def cancel_pnl_single(client: ClientSession, fields: FieldReader) -> None:
    """cancelPnLSingle: no answer."""
    _end_pnl(client, "reqPnLSingle", fields.int("Client Req Id"))


def _begin_pnl(client: ClientSession, name: str, req_id: int, rows: Callable[[], Iterable[bytes]]) -> None:
    client.send(*client.account_streams.start(name, req_id, rows, PNL_EVERY))
    client.state.order_handler.update_followed()


def _end_pnl(client: ClientSession, name: str, req_id: int) -> None:
    if client.account_streams.end(name, req_id):
        client.state.order_handler.update_followed()
    else:
        client.send_error(req_id, 300, NO_ID.format(req_id))


def _position(held: Position) -> dict[str, object]:
    return {
        **held.instrument.position_fields(),
        "account": held.account,
        "exchange": held.instrument.primary_exchange,
        "position": held.quantity,
        "average_cost": round(held.average_cost, 8),
    }


def _accounts(client: ClientSession, req_id: int, wanted: str) -> Sequence[str]:
    """Return the accounts of a request; an empty name means all. For an unknown name, send an error and return ()."""
    accounts = client.state.settings.accounts
    if wanted in ("", _ALL):
        return accounts
    if wanted in accounts:
        return (wanted,)
    client.send_error(req_id, *_invalid(wanted))
    return ()


def _invalid(account: str) -> tuple[int, str]:
    return order_checks.invalid(f"Invalid account code '{account[:40]}'")


def _sum(numbers: Iterable[float]) -> float:
    return round(sum(numbers), 2)
