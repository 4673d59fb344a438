"""Requests that are answered from the file of answers; what is not there gets the error that TWS would give."""

from ibkr.simulator.requests.answers import (
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
from ibkr.simulator.requests.asking import refuse
from ibkr.simulator.requests.reader import FieldReader
from ibkr.simulator.session import Session
from ibkr.wire import data

_FUNDAMENTAL_FIELDS = ("con_id", "symbol", "sec_type", "exchange", "primary_exchange", "currency", "local_symbol")
_MAX_NEWS = 300


# --- the user ------------------------------------------------------------------------------------


def user_info(client: Session, fields: FieldReader) -> None:
    """reqUserInfo: the white branding id, empty for most."""
    req_id = fields.int("Client Req Id")
    client.send(
        client.encode(data.USER_INFO, req_id=req_id, white_branding_id=client.hub.answers.user.white_branding_id)
    )


def family_codes(client: Session, fields: FieldReader) -> None:
    """reqFamilyCodes: of each account."""
    code = client.hub.answers.user.family_code
    rows = [{"account": account, "code": code} for account in client.hub.settings.accounts]
    client.send(client.encode(data.FAMILY_CODES, codes=rows))


def soft_dollar_tiers(client: Session, fields: FieldReader) -> None:
    """reqSoftDollarTiers."""
    req_id = fields.int("Client Req Id")
    client.send(client.encode(data.SOFT_DOLLAR_TIERS, req_id=req_id, tiers=client.hub.answers.rows(Tier)))


def depth_exchanges(client: Session, fields: FieldReader) -> None:
    """reqMktDepthExchanges."""
    client.send(client.encode(data.DEPTH_EXCHANGES, exchanges=client.hub.answers.rows(DepthExchange)))


def smart_components(client: Session, fields: FieldReader) -> None:
    """reqSmartComponents: of the map that message 81 has named."""
    req_id = fields.int("Client Req Id")
    fields.text("Bbo Exchange")
    client.send(client.encode(data.SMART_COMPONENTS, req_id=req_id, components=client.hub.answers.rows(Component)))


# --- news ----------------------------------------------------------------------------------------


def news_providers(client: Session, fields: FieldReader) -> None:
    """reqNewsProviders."""
    client.send(client.encode(data.NEWS_PROVIDERS, providers=client.hub.answers.rows(Provider)))


def news_article(client: Session, fields: FieldReader) -> None:
    """reqNewsArticle: its text, or 10172."""
    req_id = fields.int("Client Req Id")
    provider, article_id = fields.text("Provider Code"), fields.text("Article Id")
    for news in client.hub.answers.all(Article):
        if (news.provider, news.id) == (provider, article_id):
            client.send(client.encode(data.NEWS_ARTICLE, req_id=req_id, article_type=news.type, text=news.text))
            return
    _missing(client, req_id, 10172, "Failed to request news article:No data available", f"article {article_id}")


def historical_news(client: Session, fields: FieldReader) -> None:
    """reqHistoricalNews: headlines about a contract, newest first, and the end."""
    req_id = fields.int("Client Req Id")
    con_id = fields.int("Con Id")
    providers = fields.text("Provider Codes").split("+")
    start, end = fields.text("Start Date Time"), fields.text("End Date Time")
    wanted = min(max(fields.int("Total Results"), 0), _MAX_NEWS)
    item = client.hub.instruments.by_con_id(con_id)
    if item is None:
        refuse(client, req_id, 321, f"Invalid contract id: {con_id}")
        return
    found = [
        news
        for news in sorted(client.hub.answers.all(Article), key=lambda news: news.time, reverse=True)
        if item.symbol in news.symbols and news.provider in providers
        if (not start or news.time >= start) and (not end or news.time <= end)
    ]
    client.send(
        *[
            client.encode(
                data.HISTORICAL_NEWS,
                req_id=req_id,
                time=news.time,
                provider=news.provider,
                article_id=news.id,
                headline=news.headline,
            )
            for news in found[:wanted]
        ],
        client.encode(data.HISTORICAL_NEWS_END, req_id=req_id, has_more=len(found) > wanted),
    )


def bulletins(client: Session, fields: FieldReader) -> None:
    """reqNewsBulletins: those of the day if all are asked for, and new ones, of which there are none."""
    fields.int("Version")
    if fields.bool("All Msgs"):
        rows = client.hub.answers.all(Bulletin)
        client.send(
            *[
                client.encode(
                    data.NEWS_BULLETIN, bulletin_id=row.id, kind=row.kind, text=row.text, exchange=row.exchange
                )
                for row in rows
            ]
        )


# --- reports -------------------------------------------------------------------------------------


def scanner_parameters(client: Session, fields: FieldReader) -> None:
    """reqScannerParameters."""
    xml = "".join(entry.xml for entry in client.hub.answers.all(Parameters))
    client.send(client.encode(data.SCANNER_PARAMETERS, xml=xml))


def fundamental_data(client: Session, fields: FieldReader) -> None:
    """reqFundamentalData: a report, or 10358."""
    fields.int("Version")
    req_id = fields.int("Client Req Id")
    contract = fields.contract(_FUNDAMENTAL_FIELDS)
    wanted = fields.text("Report Type")
    found = client.hub.instruments.find(contract)
    symbol = found[0].symbol if len(found) == 1 else contract["symbol"]
    for report in client.hub.answers.all(Report):
        if (report.symbol, report.report) == (symbol, wanted):
            client.send(client.encode(data.FUNDAMENTAL_DATA, req_id=req_id, xml=report.xml))
            return
    _missing(client, req_id, 10358, "Fundamentals data is not allowed", f"{wanted} of {symbol}")


def wsh_meta_data(client: Session, fields: FieldReader) -> None:
    """reqWshMetaData: or 10276 without a subscription."""
    _send_calendar(client, fields.int("Client Req Id"), "", data.WSH_META_DATA.name)


def wsh_event_data(client: Session, fields: FieldReader) -> None:
    """reqWshEventData: the events of one contract; filters are not looked at."""
    req_id = fields.int("Client Req Id")
    item = client.hub.instruments.by_con_id(fields.int("Con Id"))
    _send_calendar(client, req_id, item.symbol if item else "?", data.WSH_EVENT_DATA.name)


def accept_cancel(client: Session, fields: FieldReader) -> None:
    """The cancel of a request that has been answered already."""


def request_fa(client: Session, fields: FieldReader) -> None:
    """requestFA: a configuration of the advisor, or 321 for those who are none."""
    fields.int("Version")
    kind = fields.int("Fa Data Type")
    for entry in client.hub.answers.all(Advisor):
        if entry.kind == kind:
            client.send(client.encode(data.RECEIVE_FA, kind=kind, xml=entry.xml))
            return
    refuse(client, -1, 321, "FA data operations ignored for non FA customers.")


def replace_fa(client: Session, fields: FieldReader) -> None:
    """replaceFA: accepted and not kept, or 321 for those who are no advisors."""
    fields.int("Version")
    kind = fields.int("Fa Data Type")
    fields.text("XML")
    req_id = fields.int("Client Req Id") if client.server_version >= 157 else -1
    if not any(entry.kind == kind for entry in client.hub.answers.all(Advisor)):
        refuse(client, req_id, 321, "FA data operations ignored for non FA customers.")
    elif client.server_version >= 157:
        client.send(client.encode(data.REPLACE_FA_END, req_id=req_id, text=""))


def _send_calendar(client: Session, req_id: int, symbol: str, name: str) -> None:
    for entry in client.hub.answers.all(Calendar):
        if entry.symbol == symbol:
            client.send(client.encode(data.LAYOUTS[name], req_id=req_id, json=entry.json))
            return
    _missing(client, req_id, 10276, "News feed is not allowed", f"the calendar of {symbol or 'all'}")


def _missing(client: Session, req_id: int, code: int, text: str, what: str) -> None:
    """Answer with an error, and say once in the log where the answer could be written."""
    client.hub.log_once(f"{what[:80]}: not in the file of answers, answered with {code}")
    client.send_error(req_id, code, text)
