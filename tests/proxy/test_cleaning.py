"""Personal data is replaced: in every field of every message, in text and protobuf, and in unknown bytes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ibkr.proxy.cleaning import Cleaner
from ibkr.proxy.message_catalog import GATEWAY_MESSAGES, REQUESTS
from ibkr.proxy.personal_fields import OVERRIDES, PRIVATE_FIELDS, PUBLIC_FIELDS, CleaningPolicy
from ibkr.proxy.recording_writer import to_json
from ibkr.wire import encode_fields, messages, order_messages, order_request_layouts, protobuf_schema
from ibkr.wire.frame import PROTOBUF_IDS, binary_id
from ibkr.wire.layout import Layout
from ibkr.wire.layout_items import Conditional, Field, Item

VERSIONS = (157, 178, 200, 203, 207, 213, 226)
SECRET = "Zebra"


def text_fields(items: tuple[Item, ...]) -> set[str]:
    found: set[str] = set()
    for item in items:
        if isinstance(item, Field):
            found |= {item.name} if item.kind in ("text", "name") else set()
        else:
            found |= text_fields(item.fields)
    return found


def test_every_text_is_either_public_or_private() -> None:
    known = PUBLIC_FIELDS.union(*PRIVATE_FIELDS.values())
    for layout in (*GATEWAY_MESSAGES.values(), *REQUESTS.values()):
        assert text_fields(layout.fields) <= known, layout.name
    for message, fields in protobuf_schema.schema().items():
        assert {name for name, field in fields.items() if field.type == "string"} <= known, message
    assert not PUBLIC_FIELDS & frozenset().union(*PRIVATE_FIELDS.values())


class _Filled:
    """Values for all fields of a layout. Each private text is a different secret. The other values are harmless."""

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self.secrets: list[str] = []

    def values(self, items: tuple[Item, ...]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for item in items:
            if isinstance(item, Conditional):
                found |= self.values(item.fields)
            elif isinstance(item, Field):
                found[item.name] = self._value(item)
            else:
                found[item.name] = [self.values(item.fields) for _ in range(2)]
        return found

    def _value(self, item: Field) -> object:
        match item.kind:
            case "int":
                return 1
            case "bool":
                return True
            case "float" | "size":
                return 1.5
        is_private = item.name not in PUBLIC_FIELDS or OVERRIDES.get(
            (self.owner, item.name), CleaningPolicy.KEEP
        ) not in (
            CleaningPolicy.KEEP,
            CleaningPolicy.SENTENCE,
        )
        if item.name in PRIVATE_FIELDS[CleaningPolicy.SENTENCE] or not is_private:
            return {"conjunction": "a"}.get(item.name, "1")
        self.secrets.append(f"{SECRET}{len(self.secrets)}x")
        return self.secrets[-1]


def cases() -> list[Any]:
    return [
        pytest.param(layout, version, is_request, id=f"{layout.name}-{version}")
        for is_request, layouts in ((False, GATEWAY_MESSAGES), (True, REQUESTS))
        for layout in layouts.values()
        for version in VERSIONS
        if version < 201 or layout.protobuf
    ]


@pytest.mark.parametrize(("layout", "version", "is_request"), cases())
def test_no_private_text_of_any_message_stays(layout: Layout, version: int, is_request: bool) -> None:
    filled = _Filled(layout.name)
    body = layout.encode(version, **filled.values(layout.fields))
    cleaned = Cleaner().clean(body, version, is_request=is_request)
    assert cleaned.body is not None
    assert cleaned.fields is not None, f"{layout.name} does not fit its own layout"
    assert SECRET.encode() not in cleaned.body
    assert SECRET not in json.dumps(to_json(cleaned.fields))
    if not filled.secrets:
        assert cleaned.body == body
    assert Cleaner(keeps_private=True).clean(body, version, is_request=is_request).body == body


def text(number: int, *fields: object) -> bytes:
    return encode_fields(number, *fields)


def error(said: str, version: int = 178) -> bytes:
    return messages.ERROR.encode(version, req_id=-1, code=321, text=said, advanced_order_reject="", error_time=1)


def told(cleaner: Cleaner, said: str, version: int = 178) -> str:
    cleaned = cleaner.clean(error(said, version), version, is_request=False)
    assert cleaned.fields is not None
    return str(cleaned.fields["text"])


@pytest.mark.parametrize("version", [178, 226])
def test_an_account_has_the_same_stand_in_in_the_complete_file(version: int) -> None:
    cleaner = Cleaner()
    body = messages.MANAGED_ACCOUNTS.encode(version, accounts="DU7654321,U1112223,")
    accounts = cleaner.clean(body, version, is_request=False).fields
    assert accounts == {"accounts": "DU0000001,U0000001,"}
    assert told(cleaner, "Order for U1112223 and DU7654321, not XU1112223") == (
        "Order for U0000001 and DU0000001, not XU0000001"
    )
    body = messages.ACCOUNT_VALUE.encode(version, key="AccountCode", value="U1112223", currency="", account="U1112223")
    values = cleaner.clean(body, version, is_request=False).fields
    assert values == {"key": "AccountCode", "value": "U0000001", "currency": "", "account": "U0000001"}
    request = REQUESTS["reqPnL"].encode(version, req_id=1, account="DU7654321", model_code="")
    asked = cleaner.clean(request, version, is_request=True).fields
    assert asked == {"req_id": 1, "account": "DU0000001", "model_code": ""}


def test_an_account_of_digits_alone() -> None:
    cleaner = Cleaner()
    cleaner.clean(messages.MANAGED_ACCOUNTS.encode(178, accounts="7654321"), 178, is_request=False)
    assert told(cleaner, "For 7654321 and 1234567") == "For DU0000001 and 1234567"
    assert cleaner.clean(text(444, 7654321), 178, is_request=False).body == text(444, "text-1")


def test_all_accounts_stay_all() -> None:
    request = REQUESTS["reqAccountSummary"].encode(178, req_id=1, group="All", tags="NetLiquidation")
    assert Cleaner().clean(request, 178, is_request=True).body == request


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("Write to jane.doe+ib@mail.example.org now", "Write to mail-1@example.com now"),
        ("The account U7777777 or DUH654321", "The account U0000001 or DUH000001"),
        ("Market data farm connection is OK:usfarm.nj", "Market data farm connection is OK:usfarm.nj"),
        ("Order 1234567 of conId 265598@SMART", "Order 1234567 of conId 265598@SMART"),
    ],
)
def test_what_looks_personal_in_a_sentence(said: str, expected: str) -> None:
    assert told(Cleaner(), said) == expected


@pytest.mark.parametrize("version", [178, 226])
@pytest.mark.parametrize("reference", ["momentum-17", "M\u00fcller", "my strategy", "abc"])
def test_a_reference_is_replaced_where_ib_repeats_it(version: int, reference: str) -> None:
    filled = _Filled("placeOrder")
    values = {**filled.values(order_request_layouts.PLACE_ORDER.fields), "order_ref": reference}
    cleaner = Cleaner()
    placed = cleaner.clean(order_request_layouts.PLACE_ORDER.encode(version, **values), version, is_request=True)
    assert placed.fields is not None
    assert placed.fields["order_ref"] != reference
    assert reference not in told(cleaner, f"Order '{reference}' was rejected", version)
    values = {**filled.values(order_messages.EXEC_DETAILS.fields), "order_ref": reference}
    cleaned = cleaner.clean(order_messages.EXEC_DETAILS.encode(version, **values), version, is_request=False)
    assert cleaned.fields is not None
    assert cleaned.fields["order_ref"] == placed.fields["order_ref"]


def test_a_short_reference_does_not_spoil_sentences() -> None:
    cleaner = Cleaner()
    values = {**_Filled("placeOrder").values(order_request_layouts.PLACE_ORDER.fields), "order_ref": "is"}
    cleaner.clean(order_request_layouts.PLACE_ORDER.encode(178, **values), 178, is_request=True)
    assert told(cleaner, "This is fine") == "This is fine"


def test_stand_ins_within_stand_ins() -> None:
    cleaner = Cleaner()
    for reference in ("ref", "a ref of mine", "ref-1"):
        cleaner.placeholder(CleaningPolicy.REFERENCE, reference)
    assert told(cleaner, "ref, a ref of mine, ref-1") == "ref-1, ref-2, ref-3"


def test_a_message_that_does_not_fit_its_layout_keeps_numbers_only() -> None:
    body = text(61, 3, "DU1234567", 265598, "AAPL", "Jane")
    cleaned = Cleaner().clean(body, 178, is_request=False)
    assert (cleaned.name, cleaned.fields) == ("position", None)
    assert cleaned.body == text(61, 3, "text-1", 265598, "text-2", "text-3")


@pytest.mark.parametrize(("flag", "expected"), [("Jane", "text-1"), ("true", "true"), ("", "")])
def test_a_name_in_the_place_of_a_flag(flag: str, expected: str) -> None:
    cleaned = Cleaner().clean(text(76, 1, 7, "", "", flag), 178, is_request=True)
    assert cleaned.body == text(76, 1, 7, "", "", expected)
    assert (cleaned.fields is None) == (flag == "Jane")


def test_options_in_protobuf_have_names_that_are_cleaned() -> None:
    values = {**_Filled("placeOrder").values(order_request_layouts.PLACE_ORDER.fields), "order_misc_options": ""}
    request = order_request_layouts.PLACE_ORDER.encode(226, **values)
    order = protobuf_schema.parse("PlaceOrderRequest", request[4:])
    order.order.orderMiscOptions["Jane"] = "Doe"
    order.order.algoParams["jane@example.net"] = "1"
    cleaned = Cleaner().clean(request[:4] + order.SerializeToString(), 226, is_request=True)
    assert cleaned.body is not None
    assert b"text-" in cleaned.body
    assert b"mail-1@example.com" in cleaned.body
    assert b"Jane" not in cleaned.body
    assert b"jane@" not in cleaned.body


def test_fields_behind_those_that_are_known() -> None:
    body = text(9, 1, 7, "", "", "Jane Doe", "12.5")
    cleaned = Cleaner().clean(body, 178, is_request=False)
    assert cleaned.fields == {"order_id": 7}
    assert cleaned.body == text(9, 1, 7, "", "", "text-1", "12.5")


@pytest.mark.parametrize("is_request", [True, False])
def test_a_message_that_nobody_knows(is_request: bool) -> None:
    cleaned = Cleaner().clean(text(444, "Jane Doe", 5), 178, is_request=is_request)
    assert cleaned == ("unknown(444)", None, text(444, "text-1", 5))
    cleaned = Cleaner().clean(binary_id(444 + PROTOBUF_IDS) + b"\x0a\x08Jane Doe", 226, is_request=is_request)
    assert cleaned == ("unknown(444)", None, None)
    cleaned = Cleaner().clean(b"\xff\xfeJane", 178, is_request=is_request)
    assert cleaned.body is None


def test_fields_of_protobuf_that_nobody_knows_are_left_out() -> None:
    known = messages.NEXT_VALID_ID.encode(226, order_id=5)
    cleaned = Cleaner().clean(known + b"\xfa\x7f\x08Jane Doe", 226, is_request=False)
    assert cleaned == ("nextValidId", {"order_id": 5}, known)


def test_protobuf_that_is_none() -> None:
    cleaned = Cleaner().clean(binary_id(PROTOBUF_IDS + 61) + b"\xffJane", 226, is_request=False)
    assert cleaned == ("position", None, None)


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("NetLiquidation", "1000000.00", "1000000.00"),
        ("AccountReady", "true", "true"),
        ("AccountType", "INDIVIDUAL", "INDIVIDUAL"),
        ("Currency", "USD", "USD"),
        ("Owner", "Jane Doe", "text-1"),
        ("AccountOrGroup", "Family", "DU0000001"),
        ("AccountOrGroup", "ABC", "DU0000001"),
        ("AccountCode", "7654321", "DU0000001"),
    ],
)
def test_account_values(key: str, value: str, expected: str) -> None:
    body = messages.ACCOUNT_SUMMARY.encode(178, req_id=1, account="", tag=key, value=value, currency="")
    cleaned = Cleaner().clean(body, 178, is_request=False)
    assert cleaned.fields is not None
    assert cleaned.fields["value"] == expected


def test_a_count_of_rows_that_is_too_large_costs_nothing() -> None:
    cleaned = Cleaner().clean(text(85, 2_000_000_000, "A", "B"), 178, is_request=False)
    assert cleaned.fields is None
