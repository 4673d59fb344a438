"""Answer requests from the answer file. If an answer is missing there, send the error of TWS."""

from ibkr.simulator.gateway_state import ClientSession
from ibkr.simulator.requests.answer_file import (
    Advisor,
    Article,
    Bulletin,
    Calendar,
    Component,
    DepthExchange,
    Parameters,
    Provider,
    Report,
    Tier,
)
from ibkr.simulator.requests.field_reader import FieldReader
from ibkr.simulator.requests.request_helpers import refuse
from ibkr.wire import data_messages

_FUNDAMENTAL_FIELDS = ("con_id", "symbol", "sec_type", "exchange", "primary_exchange", "currency", "local_symbol")
_MAX_NEWS = 300


# --- the user ------------------------------------------------------------------------------------


def user_info(client: ClientSession, fields: FieldReader) -> None:
    """reqUserInfo: the white branding id, which is empty for most users."""
    req_id = fields.int("Client Req Id")
    client.send(
        client.encode(
            data_messages.USER_INFO, req_id=req_id, white_branding_id=client.state.answers.user.white_branding_id
        )
    )


def family_codes(client: ClientSession, fields: FieldReader) -> None:
    """reqFamilyCodes: the code of each account."""
    code = client.state.answers.user.family_code
    rows = [{"account": account, "code": code} for account in client.state.settings.accounts]
    client.send(client.encode(data_messages.FAMILY_CODES, codes=rows))


def soft_dollar_tiers(client: ClientSession, fields: FieldReader) -> None:
    """reqSoftDollarTiers: all tiers."""
    req_id = fields.int("Client Req Id")
    client.send(client.encode(data_messages.SOFT_DOLLAR_TIERS, req_id=req_id, tiers=client.state.answers.rows(Tier)))


def depth_exchanges(client: ClientSession, fields: FieldReader) -> None:
    """reqMktDepthExchanges: all exchanges with market depth."""
    client.send(client.encode(data_messages.DEPTH_EXCHANGES, exchanges=client.state.answers.rows(DepthExchange)))


def smart_components(client: ClientSession, fields: FieldReader) -> None:
    """reqSmartComponents: the exchanges of the map that message 81 names."""
    req_id = fields.int("Client Req Id")
    fields.text("Bbo Exchange")
    client.send(
        client.encode(data_messages.SMART_COMPONENTS, req_id=req_id, components=client.state.answers.rows(Component))
    )


# --- news ----------------------------------------------------------------------------------------


def news_providers(client: ClientSession, fields: FieldReader) -> None:
    """reqNewsProviders: all providers."""
    client.send(client.encode(data_messages.NEWS_PROVIDERS, providers=client.state.answers.rows(Provider)))


def news_article(client: ClientSession, fields: FieldReader) -> None:
    """reqNewsArticle: the text of an article, or 10172."""
    req_id = fields.int("Client Req Id")
    provider, article_id = fields.text("Provider Code"), fields.text("Article Id")
    for news in client.state.answers.all(Article):
        if (news.provider, news.id) == (provider, article_id):
            client.send(
                client.encode(data_messages.NEWS_ARTICLE, req_id=req_id, article_type=news.type, text=news.text)
            )
            return
    _send_missing(client, req_id, 10172, "Failed to request news article:No data available", f"article {article_id}")


def historical_news(client: ClientSession, fields: FieldReader) -> None:
    """reqHistoricalNews: headlines about a contract, newest first, and the end."""
    req_id = fields.int("Client Req Id")
    con_id = fields.int("Con Id")
    providers = fields.text("Provider Codes").split("+")
    start, end = fields.text("Start Date Time"), fields.text("End Date Time")
    wanted = min(max(fields.int("Total Results"), 0), _MAX_NEWS)
    item = client.state.instruments.by_con_id(con_id)
    if item is None:
        refuse(client, req_id, 321, f"Invalid contract id: {con_id}")
        return
    found = [
        news
        for news in sorted(client.state.answers.all(Article), key=lambda news: news.time, reverse=True)
        if item.symbol in news.symbols and news.provider in providers
        if (not start or news.time >= start) and (not end or news.time <= end)
    ]
    client.send(
        *[
            client.encode(
                data_messages.HISTORICAL_NEWS,
                req_id=req_id,
                time=news.time,
                provider=news.provider,
                article_id=news.id,
                headline=news.headline,
            )
            for news in found[:wanted]
        ],
        client.encode(data_messages.HISTORICAL_NEWS_END, req_id=req_id, has_more=len(found) > wanted),
    )


def bulletins(client: ClientSession, fields: FieldReader) -> None:
    """reqNewsBulletins: today's bulletins if all are requested. No new bulletins follow."""
    fields.int("Version")
    if fields.bool("All Msgs"):
        rows = client.state.answers.all(Bulletin)
        client.send(
            *[
                client.encode(
                    data_messages.NEWS_BULLETIN, bulletin_id=row.id, kind=row.kind, text=row.text, exchange=row.exchange
                )
                for row in rows
            ]
        )


# --- reports -------------------------------------------------------------------------------------


def scanner_parameters(client: ClientSession, fields: FieldReader) -> None:
    """reqScannerParameters: the parameters as XML."""
    xml = "".join(entry.xml for entry in client.state.answers.all(Parameters))
    client.send(client.encode(data_messages.SCANNER_PARAMETERS, xml=xml))


def fundamental_data(client: ClientSession, fields: FieldReader) -> None:
    """reqFundamentalData: a report, or 10358."""
    fields.int("Version")
    req_id = fields.int("Client Req Id")
    contract = fields.contract(_FUNDAMENTAL_FIELDS)
    wanted = fields.text("Report Type")
    found = client.state.instruments.find(contract)
    symbol = found[0].symbol if len(found) == 1 else contract["symbol"]
    for report in client.state.answers.all(Report):
        if (report.symbol, report.report) == (symbol, wanted):
            client.send(client.encode(data_messages.FUNDAMENTAL_DATA, req_id=req_id, xml=report.xml))
            return
    _send_missing(client, req_id, 10358, "Fundamentals data is not allowed", f"{wanted} of {symbol}")


def wsh_meta_data(client: ClientSession, fields: FieldReader) -> None:
    """reqWshMetaData: the meta data, or 10276."""
    _send_calendar(client, fields.int("Client Req Id"), "", data_messages.WSH_META_DATA.name)


def wsh_event_data(client: ClientSession, fields: FieldReader) -> None:
    """reqWshEventData: the events of one contract. Filters are ignored."""
    req_id = fields.int("Client Req Id")
    item = client.state.instruments.by_con_id(fields.int("Con Id"))
    _send_calendar(client, req_id, item.symbol if item else "?", data_messages.WSH_EVENT_DATA.name)


def accept_cancel(client: ClientSession, fields: FieldReader) -> None:
    """Do nothing for the cancel of a request that is already answered."""


def request_fa(client: ClientSession, fields: FieldReader) -> None:
    """requestFA: a configuration of the advisor. 321 for other users."""
    fields.int("Version")
    kind = fields.int("Fa Data Type")
    for entry in client.state.answers.all(Advisor):
        if entry.kind == kind:
            client.send(client.encode(data_messages.RECEIVE_FA, kind=kind, xml=entry.xml))
            return
    refuse(client, -1, 321, "FA data operations ignored for non FA customers.")


def replace_fa(client: ClientSession, fields: FieldReader) -> None:
    """replaceFA: accepted but not stored. 321 for users who are not advisors."""
    fields.int("Version")
    kind = fields.int("Fa Data Type")
    fields.text("XML")
    req_id = fields.int("Client Req Id") if client.server_version >= 157 else -1
    if not any(entry.kind == kind for entry in client.state.answers.all(Advisor)):
        refuse(client, req_id, 321, "FA data operations ignored for non FA customers.")
    elif client.server_version >= 157:
        client.send(client.encode(data_messages.REPLACE_FA_END, req_id=req_id, text=""))


def _send_calendar(client: ClientSession, req_id: int, symbol: str, name: str) -> None:
    for entry in client.state.answers.all(Calendar):
        if entry.symbol == symbol:
            client.send(client.encode(data_messages.LAYOUTS[name], req_id=req_id, json=entry.json))
            return
    _send_missing(client, req_id, 10276, "News feed is not allowed", f"the calendar of {symbol or 'all'}")


def _send_missing(client: ClientSession, req_id: int, code: int, text: str, what: str) -> None:
    """Answer with an error, and log once that the answer file has no answer."""
    client.state.log_once(f"{what[:80]}: not in the answer file, answered with {code}")
    client.send_error(req_id, code, text)
