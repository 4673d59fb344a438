"""The time zone in the answer to the client's first message, in every form that real gateways send."""

import asyncio
import datetime as dt
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from ib_async import IB

from ibkr.simulator import FaultError, Gateway
from ibkr.wire import FrameReader

Connect = Callable[..., Awaitable[Any]]
CHINA = "\u4e2d\u56fd\u6807\u51c6\u65f6\u95f4"


async def hello_answer(client: Any) -> list[bytes]:
    """The fields of the gateway's answer, not decoded."""
    client.send_raw(b"API\0\0\0\0\tv100..178")
    (body,) = FrameReader().feed(await client.read())
    return body.split(b"\0")


@pytest.mark.parametrize(
    ("zone", "hours"),
    [("British Summer Time", 1), ("Eastern Standard Time", -5), ("Asia/Tokyo", 9), (CHINA, 8)],
)
async def test_a_zone_by_name(connect: Connect, zone: str, hours: int) -> None:
    async with Gateway(time_zone=zone) as gateway:
        _, told, _ = await hello_answer(await connect(gateway.port))
    match = re.fullmatch(r"(\d{8} \d\d:\d\d:\d\d) (.+)", told.decode())
    assert match
    assert match[2] == zone
    there = dt.datetime.strptime(match[1], "%Y%m%d %H:%M:%S").replace(tzinfo=dt.timezone(dt.timedelta(hours=hours)))
    assert abs((dt.datetime.now(dt.UTC) - there).total_seconds()) < 60


async def test_bytes_of_another_encoding(connect: Connect) -> None:
    async with Gateway(time_zone=CHINA, time_zone_encoding="gb2312") as gateway:
        _, told, _ = await hello_answer(await connect(gateway.port))
    assert told.endswith(b" " + CHINA.encode("gb2312"))
    with pytest.raises(UnicodeDecodeError):
        told.decode("utf-8")


async def test_a_name_that_nobody_knows_is_sent_as_it_is(connect: Connect) -> None:
    async with Gateway(time_zone="Middle-earth Time") as gateway:
        assert (await hello_answer(await connect(gateway.port)))[1].endswith(b" Middle-earth Time")


async def test_by_command(gateway: Gateway, connect: Connect) -> None:
    await gateway.fault("time_zone", "America/New_York")
    assert (await hello_answer(await connect(gateway.port)))[1].endswith(b" America/New_York")
    await gateway.fault("clear")
    assert not (await hello_answer(await connect(gateway.port)))[1].endswith(b" America/New_York")


async def test_ib_async_connects_whatever_the_zone(gateway: Gateway, ib: IB) -> None:
    await gateway.fault("time_zone", "British Summer Time")
    await ib.connectAsync("127.0.0.1", gateway.port, clientId=7, timeout=10)
    assert await asyncio.wait_for(ib.reqCurrentTimeAsync(), 10)


async def test_what_cannot_be_sent_is_refused(gateway: Gateway) -> None:
    with pytest.raises(ValueError, match="time_zone_encoding: unknown encoding 'klingon'; write utf-8"):
        Gateway(time_zone="UTC", time_zone_encoding="klingon")
    with pytest.raises(ValueError, match="time_zone_encoding: ascii has no code for"):
        Gateway(time_zone=CHINA, time_zone_encoding="ascii")
    with pytest.raises(FaultError, match="time_zone: a name without NUL is needed"):
        await gateway.fault("time_zone", "a\0b")
