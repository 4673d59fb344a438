"""Answers about accounts, positions, and profit and loss; most go on until they are cancelled."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from ibkr.simulator.accounts.streams import ACCOUNT_EVERY, PNL_EVERY
from ibkr.simulator.accounts.values import account_values, ledger_values
from ibkr.simulator.broker import checks
from ibkr.simulator.broker.book import Position
from ibkr.simulator.requests.asking import NO_ID, refuse
from ibkr.simulator.requests.reader import FieldReader
from ibkr.simulator.session import Session
from ibkr.wire import messages, order_messages

MAX_SUMMARIES = 2
"""Account summaries that one client may have standing; the number is from users' reports."""

_ALL = "All"
_UNSUBSCRIBED = "New account data requested from TWS.  API client has been unsubscribed from account data."


def positions(client: Session, fields: FieldReader) -> None:
    """reqPositions: the positions of all accounts, then the end; changes follow."""
    fields.int("Version")

    def rows() -> Iterator[bytes]:
        for account in client.hub.settings.accounts:
            for held in client.hub.desk.book.positions(account):
                yield client.encode(messages.POSITION, **_position(held))

    client.send(*client.account_streams.begin("reqPositions", 0, rows), client.encode(messages.POSITION_END))


def cancel_positions(client: Session, fields: FieldReader) -> None:
    """cancelPositions: no answer."""
    fields.int("Version")
    client.account_streams.end("reqPositions")


def positions_multi(client: Session, fields: FieldReader) -> None:
    """reqPositionsMulti: the positions of one account, or of all, then the end; changes follow."""
    fields.int("Version")
    req_id = fields.int("Client Req Id")
    wanted, model_code = fields.text("Account"), fields.text("Model Code")
    if accounts := _accounts(client, req_id, wanted):

        def rows() -> Iterator[bytes]:
            for account in accounts:
                for held in client.hub.desk.book.positions(account):
                    values = {**_position(held), "req_id": req_id, "model_code": model_code}
                    yield client.encode(order_messages.POSITION_MULTI, **values)

        end = client.encode(order_messages.POSITION_MULTI_END, req_id=req_id)
        client.send(*client.account_streams.begin("reqPositionsMulti", req_id, rows), end)


def cancel_positions_multi(client: Session, fields: FieldReader) -> None:
    """cancelPositionsMulti: no answer."""
    fields.int("Version")
    client.account_streams.end("reqPositionsMulti", fields.int("Client Req Id"))


def updates(client: Session, fields: FieldReader) -> None:
    """reqAccountUpdates: values, portfolio, time, end; changes follow, of one account at a time.

    An empty account is the first one.
    """
    fields.int("Version")
    is_subscribed = fields.bool("Subscribe")
    account = fields.text("Account Code") or client.hub.settings.accounts[0]
    if account not in client.hub.settings.accounts:
        client.send_error(-1, *_invalid(account))
        return
    has_ended = client.account_streams.end("reqAccountUpdates")
    if is_subscribed:
        if has_ended and account != client.account:
            client.send_error(-1, 2100, _UNSUBSCRIBED)
        client.account = account
        rows = client.account_streams.begin("reqAccountUpdates", 0, lambda: _download(client, account), ACCOUNT_EVERY)
        client.send(*rows, client.encode(messages.ACCOUNT_DOWNLOAD_END, account=account))


def _download(client: Session, account: str) -> Iterator[bytes]:
    book = client.hub.desk.book
    for key, value, currency in account_values(book, account):
        yield client.encode(messages.ACCOUNT_VALUE, key=key, value=value, currency=currency, account=account)
    for held in book.positions(account):
        price, contract = book.price(held.instrument), held.instrument.position_fields()
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


def updates_multi(client: Session, fields: FieldReader) -> None:
    """reqAccountUpdatesMulti: values of one account, or of All, then the end; changes follow.

    An empty account is the first one.
    """
    fields.int("Version")
    req_id = fields.int("Client Req Id")
    wanted, model_code = fields.text("Account"), fields.text("Model Code")
    if accounts := _accounts(client, req_id, wanted or client.hub.settings.accounts[0]):

        def rows() -> Iterator[bytes]:
            for account in accounts:
                for key, value, currency in account_values(client.hub.desk.book, account):
                    yield client.encode(
                        messages.ACCOUNT_UPDATE_MULTI,
                        req_id=req_id,
                        account=account,
                        model_code=model_code,
                        key=key,
                        value=value,
                        currency=currency,
                    )

        first = client.account_streams.begin("reqAccountUpdatesMulti", req_id, rows, ACCOUNT_EVERY)
        client.send(*first, client.encode(messages.ACCOUNT_UPDATE_MULTI_END, req_id=req_id))


def cancel_updates_multi(client: Session, fields: FieldReader) -> None:
    """cancelAccountUpdatesMulti: no answer."""
    fields.int("Version")
    client.account_streams.end("reqAccountUpdatesMulti", fields.int("Client Req Id"))


def summary(client: Session, fields: FieldReader) -> None:
    """reqAccountSummary: the asked tags of every account, sorted by tag, then the end; changes follow."""
    fields.int("Version")
    req_id = fields.int("Client Req Id")
    group, tags = fields.text("Group"), fields.text("Tags").split(",")
    others = client.account_streams.count("reqAccountSummary") - client.account_streams.has("reqAccountSummary", req_id)
    if others >= MAX_SUMMARIES:
        refuse(client, req_id, 322, "Maximum number of account summary requests exceeded")
    elif accounts := _accounts(client, req_id, group):
        rows = client.account_streams.begin(
            "reqAccountSummary", req_id, lambda: _summary(client, req_id, accounts, tags), ACCOUNT_EVERY
        )
        client.send(*rows, client.encode(messages.ACCOUNT_SUMMARY_END, req_id=req_id))


def _summary(client: Session, req_id: int, accounts: Sequence[str], tags: Sequence[str]) -> Iterator[bytes]:
    book = client.hub.desk.book
    for account in accounts:
        wanted = [row for row in account_values(book, account) if row[0] in tags]
        for tag in tags:
            if tag.startswith("$LEDGER"):
                wanted += ledger_values(book, account, tag.partition(":")[2])
        for key, value, currency in sorted(wanted):
            yield client.encode(
                messages.ACCOUNT_SUMMARY, req_id=req_id, account=account, tag=key, value=value, currency=currency
            )


def cancel_summary(client: Session, fields: FieldReader) -> None:
    """cancelAccountSummary: no answer."""
    fields.int("Version")
    client.account_streams.end("reqAccountSummary", fields.int("Client Req Id"))


def pnl(client: Session, fields: FieldReader) -> None:
    """reqPnL: daily, unrealized and realized profit of an account, about once a second while it changes."""
    req_id, account = fields.int("Client Req Id"), fields.text("Account")
    fields.text("Model Code")
    if accounts := _accounts(client, req_id, account):
        _begin_pnl(client, "reqPnL", req_id, lambda: [_pnl(client, req_id, accounts)])


def _pnl(client: Session, req_id: int, accounts: Sequence[str]) -> bytes:
    book = client.hub.desk.book
    return client.encode(
        order_messages.PNL,
        req_id=req_id,
        daily_pnl=_sum(book.daily_pnl(account) for account in accounts),
        unrealized_pnl=_sum(book.unrealized_pnl(account) for account in accounts),
        realized_pnl=_sum(book.realized_pnl(account) for account in accounts),
    )


def cancel_pnl(client: Session, fields: FieldReader) -> None:
    """cancelPnL: no answer."""
    _end_pnl(client, "reqPnL", fields.int("Client Req Id"))


def pnl_single(client: Session, fields: FieldReader) -> None:
    """reqPnLSingle: as reqPnL, of one position; of one that is not held there is nothing to tell yet."""
    req_id, account = fields.int("Client Req Id"), fields.text("Account")
    fields.text("Model Code")
    con_id = fields.int("Con Id")
    if accounts := _accounts(client, req_id, account):
        _begin_pnl(client, "reqPnLSingle", req_id, lambda: _pnl_single(client, req_id, accounts, con_id))


def _pnl_single(client: Session, req_id: int, accounts: Sequence[str], con_id: int) -> list[bytes]:
    book = client.hub.desk.book
    held = [item for account in accounts if (item := book.position(account, con_id))]
    if not held:
        return []
    price = book.price(held[0].instrument)
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


def cancel_pnl_single(client: Session, fields: FieldReader) -> None:
    """cancelPnLSingle: no answer."""
    _end_pnl(client, "reqPnLSingle", fields.int("Client Req Id"))


def _begin_pnl(client: Session, name: str, req_id: int, rows: Callable[[], Iterable[bytes]]) -> None:
    client.send(*client.account_streams.begin(name, req_id, rows, PNL_EVERY))
    client.hub.desk.follow()


def _end_pnl(client: Session, name: str, req_id: int) -> None:
    if client.account_streams.end(name, req_id):
        client.hub.desk.follow()
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


def _accounts(client: Session, req_id: int, wanted: str) -> Sequence[str]:
    """The accounts meant: all, if none is named; none, and an error sent, if it is not one of ours."""
    accounts = client.hub.settings.accounts
    if wanted in ("", _ALL):
        return accounts
    if wanted in accounts:
        return (wanted,)
    client.send_error(req_id, *_invalid(wanted))
    return ()


def _invalid(account: str) -> tuple[int, str]:
    return checks.invalid(f"Invalid account code '{account[:40]}'")


def _sum(numbers: Iterable[float]) -> float:
    return round(sum(numbers), 2)
