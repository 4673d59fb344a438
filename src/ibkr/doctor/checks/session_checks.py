"""Checks of the session: does the gateway accept a client, is your client id free, which accounts, read-only?"""

from __future__ import annotations

import time

from ibkr.core.codes import is_read_only
from ibkr.core.errors import FailureKind
from ibkr.doctor.api_client import ConnectionEnded, Notice, Session, is_message, open_connection, start_session
from ibkr.doctor.check import Check, Finding, code_advice, fail, ok, warn
from ibkr.doctor.checks.network_checks import STANDARD_PORTS
from ibkr.doctor.context import Context
from ibkr.wire import messages

_ACCOUNTS_TIMEOUT = 1.0
_ID_IN_USE = str(FailureKind.CLIENT_ID_IN_USE)


async def _check_session(context: Context) -> list[Finding]:
    """Does the gateway accept a client with an id that none of the user's programs uses?"""
    began = time.monotonic()
    for own_id in context.own_ids:
        try:
            opened = await _open_session(context, own_id)
        except TimeoutError:
            opened = None
        except ConnectionEnded as error:
            message = f"the gateway accepts the handshake, then closes the connection without an error code ({error})"
            return fail(str(FailureKind.CLOSED), message, context.advice_for(FailureKind.CLOSED))
        if opened is None:
            message = f"the gateway accepts the handshake, then sends nothing for {context.ibkr.timeout:g} s"
            return fail(str(FailureKind.SILENT), message, context.advice_for(FailureKind.SILENT))
        if isinstance(opened, Session):
            context.session = opened
            return ok(f"open as client {own_id} ({1000 * (time.monotonic() - began):.0f} ms)")
    message = f"the client ids {', '.join(map(str, context.own_ids))} are all in use"
    advice = "Another program holds many client ids. Close the programs that are connected, or restart the gateway."
    return fail(_ID_IN_USE, message, advice)


async def _open_session(context: Context, own_id: int) -> Session | Notice | None:
    timeout = context.ibkr.timeout
    connecting = open_connection(context.address, context.ibkr.port, timeout)
    connection = await context.open_connections.enter_async_context(connecting)
    opened = await start_session(connection, context.versions, own_id, timeout)
    if isinstance(opened, Session) and not opened.accounts:
        await opened.wait_for(is_message(messages.MANAGED_ACCOUNTS.message_id), _ACCOUNTS_TIMEOUT)
    return opened


async def _check_client_id(context: Context) -> list[Finding]:
    """Is the client id of the user's program free?

    This does not disturb the program that uses the id: the gateway refuses the new client.
    """
    wanted, timeout = context.ibkr.client_id, context.ibkr.timeout
    why = "no answer"
    try:
        async with open_connection(context.address, context.ibkr.port, timeout) as connection:
            opened = await start_session(connection, context.versions, wanted, timeout)
    except (TimeoutError, ConnectionEnded) as error:
        opened, why = None, str(error) or why
    if opened is None:
        message = f"the gateway accepts another client id, but not {wanted}: {why}"
        advice = (
            f"The gateway may still hold client id {wanted} for a session that was cut off. Wait, or choose another id."
        )
        return warn(_ID_IN_USE, message, advice)
    if isinstance(opened, Notice):
        message = f"client id {wanted} is in use: the gateway refuses another program with this id (326)"
        advice = f"If your own program uses it now, this is not a problem. Otherwise: {code_advice(opened.code)}"
        return fail(_ID_IN_USE, message, advice)
    return ok(f"{wanted} is free")


async def _check_accounts(context: Context) -> list[Finding]:
    """Are the accounts paper or live, and does the port suggest the same?"""
    accounts = context.open_session.accounts
    if not accounts:
        advice = "Wait until the login in the TWS or IB Gateway window is complete, then run this again."
        return warn("no_accounts", "the gateway names no account", advice)
    # Paper accounts begin with D (DU, DF, DI).
    is_live = any(not account.startswith("D") for account in accounts)
    listed = f"{'live' if is_live else 'paper'}: {', '.join(accounts)}"
    wanted, port = context.ibkr.account, context.ibkr.port
    if wanted and wanted not in accounts:
        message = f"the configured account {wanted} is not one of this login's accounts ({listed})"
        return warn("unknown_account", message, "Correct ibkr.account, or log in as the user that has it.")
    usual = STANDARD_PORTS.get(port, "")
    if is_live and usual.endswith("paper"):
        message = f"a LIVE account on port {port}, the usual port for paper trading ({listed})"
        advice = (
            "Orders would be real. Log in to paper trading, or set the live gateway to its usual port (7496, 4001)."
        )
        return warn("live_account", message, advice)
    if not is_live and usual.endswith("live"):
        message = f"a paper account on port {port}, the usual port for live trading ({listed})"
        return warn("paper_account", message, "Log in to live trading, or use the paper port (7497, 4002).")
    return ok(listed)


async def _check_read_only(context: Context) -> list[Finding]:
    """Is the gateway's Read-Only API setting on?"""
    if context.ibkr.readonly:
        return ok("not checked: your program sends no orders (readonly = true)")
    if any(is_read_only(notice.code, notice.text) for notice in context.open_session.notices):
        message = "the gateway's Read-Only API setting is on: the gateway refuses orders (321), but sends data"
        advice = (
            "To trade, switch it off: Global Configuration, API, Settings, 'Read-Only API'. Otherwise set readonly ="
            " true."
        )
        return warn("read_only", message, advice)
    return ok("off: the gateway answers requests about orders")


SESSION = Check("session", "API session", _check_session, needs=("handshake",))
CLIENT_ID = Check("client id", "Client id", _check_client_id, needs=("session",))
ACCOUNTS = Check("accounts", "Accounts", _check_accounts, needs=("session",))
READ_ONLY = Check("read-only", "Read-Only API", _check_read_only, needs=("session", "start-up"))
