"""Cleans recordings: replaces everything personal in a message by placeholders, in text and in protobuf.

A text stays unchanged only if its field never has personal data (`PUBLIC_FIELDS`). Account ids, names, references and
texts of the user are replaced, each by the same placeholder throughout a recording. In IB's own sentences
(`SENTENCE`), two things are replaced: values that were replaced elsewhere, and everything that looks like an account
id or an e-mail address. Texts of fields that are in no list are replaced, too. Numbers stay: prices,
quantities, balances.

If a message does not fit its layout, numbers stay and every other text is replaced. Unknown protobuf messages are
omitted.
"""

import functools
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ibkr.core.account_masking import ACCOUNT_ID
from ibkr.proxy.message_catalog import MessageInfo, identify_message, text_id_bytes
from ibkr.proxy.personal_fields import OVERRIDES, PRIVATE_FIELDS, PUBLIC_FIELDS, CleaningPolicy
from ibkr.wire import protobuf_codec, protobuf_schema, unescape_text
from ibkr.wire.fields import ascii_text
from ibkr.wire.frame import PROTOBUF_IDS, binary_id
from ibkr.wire.layout import Field, Layout, LayoutError, field_value

_NUMBER = re.compile(r"[-+]?[0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]{1,3})?")
_ACCOUNT = re.compile(ACCOUNT_ID)
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_IMPERSONAL_VALUE = re.compile(r"(?:true|false|[A-Z]{3}|BASE|[-\d.,:% ]+)?")
"""Account values that say nothing about a person: flags, currencies, numbers."""

_IB_TEXT_KEYS = (
    "AccountType",
    "AccountReady",
    "TradingType",
    "SegmentTitle",
    "NLVAndMarginInReview",
    "WhatIfPMEnabled",
)
"""An account value is in IB's own words if its key begins with one of these."""

_ACCOUNT_KEYS = ("AccountCode", "AccountOrGroup")
_IMPERSONAL = frozenset({"All", "None", "Default", "N/A"})
"""Names and references that are not replaced, because they say nothing about a person."""

_FLAGS = frozenset({"", "true", "false"})
"""The texts that a flag can have, apart from numbers."""

_SHORTEST_SECRET, _LONG_SECRET = 3, 6
"""Two lengths in characters. References that are shorter than the first are not searched in sentences. References that
have at least the second length are also found inside words."""


class CleanedMessage(NamedTuple):
    """A message without personal data.

    `fields` is None if the layout is not known or does not fit. `body` is None if the body was omitted.
    """

    name: str
    fields: Mapping[str, object] | None
    body: bytes | None


class Cleaner:
    """Replaces personal data in the messages of one recording; with `keeps_private`, it replaces nothing."""

    def __init__(self, *, keeps_private: bool = False) -> None:
        self.keeps_private = keeps_private
        self._placeholders: dict[tuple[CleaningPolicy, str], str] = {}
        self._used: set[str] = set()
        self._counts: dict[str, int] = {}
        self._accounts: set[str] = set()
        self._secrets: dict[str, str] = {}

    def clean(self, body: bytes, server_version: int, *, is_request: bool) -> CleanedMessage:
        """Return the cleaned message of this body. Never raises, even if the bytes are not a valid message."""
        message = identify_message(body, server_version, is_request=is_request)
        if message.is_protobuf:
            return self._clean_protobuf_message(message, body, server_version)
        return self._clean_text_message(message, body, server_version)

    def clean_sentence(self, text: str) -> str:
        """Replace personal data in a sentence of the gateway. Returns a sentence without personal data unchanged."""
        if self.keeps_private or not text:
            return text
        plain = changed = unescape_text(text) if "\\" in text else text
        found = sorted((secret for secret in self._secrets if secret in plain), key=len, reverse=True)
        if found:
            either = "|".join(map(_pattern, found))
            changed = re.sub(either, lambda match: self._secrets[match[0]], changed)
        changed = _EMAIL.sub(lambda match: self.placeholder(CleaningPolicy.MAIL, match[0]), changed)
        changed = _ACCOUNT.sub(self._replace_account, changed)
        return text if changed == plain else ascii_text(changed)

    def placeholder(self, policy: CleaningPolicy, value: str, *, is_secret: bool = True) -> str:
        """Return the placeholder of a value, the same each time. In sentences, only secret values are replaced."""
        known = (policy, value)
        if known not in self._placeholders:
            made = (
                self._account_placeholder(value)
                if policy is CleaningPolicy.ACCOUNT
                else self._numbered_placeholder(policy)
            )
            self._placeholders[known] = made
            self._used.add(made)
            if policy is CleaningPolicy.ACCOUNT:
                self._accounts.add(value)
            is_word = policy is CleaningPolicy.ACCOUNT or not _NUMBER.fullmatch(value)
            if is_secret and is_word and len(value) >= _SHORTEST_SECRET:
                self._secrets.setdefault(value, made)
        return self._placeholders[known]

    # --- text and protobuf messages --------------------------------------------------------------

    def _clean_text_message(self, info: MessageInfo, body: bytes, server_version: int) -> CleanedMessage:
        texts = info.payload.decode("utf-8", "surrogateescape").split("\0")
        tail = "" if texts[-1] else "\0"  # if the message has no NUL at its end, the cleaned message has none
        if not texts[-1]:
            texts.pop()
        head = body[: len(body) - len(info.payload)]
        if info.message_id < 0:  # the message has no id
            return CleanedMessage(info.name, None, body if self.keeps_private else None)
        read = None if info.layout is None else self._clean_fields(info.layout, server_version, texts)
        if read is None:
            fields, out = None, texts if self.keeps_private else [self._replace_unknown(text) for text in texts]
        else:
            fields, out = read
        if self.keeps_private:
            return CleanedMessage(info.name, fields, body)
        if not texts:
            return CleanedMessage(info.name, fields, head)
        cleaned = "\0".join(out) + tail
        return CleanedMessage(
            info.name,
            fields,
            text_id_bytes(info.message_id, server_version) + cleaned.encode("utf-8", "surrogateescape"),
        )

    def _clean_fields(
        self, layout: Layout, server_version: int, texts: list[str]
    ) -> tuple[Mapping[str, object], list[str]] | None:
        """Return the values of a text message and its cleaned texts; None if the message does not fit its layout."""
        source, out = iter(texts), list[str]()
        replace = self._replacer(layout.name)

        def take(field: Field) -> object:
            raw = next(source)
            if field.kind == "bool" and raw not in _FLAGS and not _NUMBER.fullmatch(raw):
                raise ValueError(f"{field.name} is not a flag")
            out.append(raw if field.kind not in ("text", "name") or not raw else replace(field.name, raw))
            return field_value(field, out[-1])

        try:
            values = layout.read(server_version, take)
        except (StopIteration, ValueError, OverflowError):
            return None
        rest = list(source)
        return values, [*out, *(rest if self.keeps_private else map(self._replace_unknown, rest))]

    def _clean_protobuf_message(self, info: MessageInfo, body: bytes, server_version: int) -> CleanedMessage:
        layout = info.layout
        if layout is None or layout.protobuf is None:
            return CleanedMessage(info.name, None, body if self.keeps_private else None)
        try:
            message = protobuf_schema.parse(layout.protobuf[1], info.payload)
            if not self.keeps_private:
                message.DiscardUnknownFields()
                self._clean_message(message, self._replacer(layout.name))
                body = binary_id(PROTOBUF_IDS + info.message_id) + message.SerializeToString(deterministic=True)
        except LayoutError:
            return CleanedMessage(info.name, None, body if self.keeps_private else None)
        try:
            return CleanedMessage(info.name, protobuf_codec.decode(layout, server_version, message), body)
        except LayoutError:  # a text is where a number should be
            return CleanedMessage(info.name, None, body)

    def _clean_message(self, message: Any, replace: Callable[[str, str], str]) -> None:
        name = message.DESCRIPTOR.name
        if name in _VALUE_MESSAGES:
            replace = self._replacer(name)
        for descriptor, value in message.ListFields():
            field = protobuf_schema.schema()[name][descriptor.name]
            owned = (
                functools.partial(self._clean_value, name, descriptor.name)
                if (name, descriptor.name) in OVERRIDES
                else None
            )
            if field.is_map:
                pairs = {replace(descriptor.name, key): replace(descriptor.name, value[key]) for key in value}
                value.clear()
                value.update(pairs)
            elif field.type in protobuf_schema.schema():
                for item in value if field.is_repeated else [value]:
                    self._clean_message(item, replace)
            elif field.type == "string":
                change = owned or functools.partial(replace, descriptor.name)
                if field.is_repeated:
                    value[:] = [change(item) for item in value]
                else:
                    setattr(message, descriptor.name, change(value))

    # --- values ----------------------------------------------------------------------------------

    def _replacer(self, owner: str) -> Callable[[str, str], str]:
        """Return a function that replaces the texts of one message, by the names of their fields.

        Whether an account value is personal depends on its key. The key comes before the value.
        """
        key = ""

        def replace(name: str, raw: str) -> str:
            nonlocal key
            if owner in _VALUE_MESSAGES:
                if name in ("key", "tag"):
                    key = raw
                elif name == "value":
                    return self._clean_account_value(key, raw)
            return self._clean_value(owner, name, raw)

        return replace

    def _clean_value(self, owner: str, name: str, raw: str) -> str:
        if self.keeps_private or not raw or raw in _IMPERSONAL:
            return raw
        policy = OVERRIDES.get((owner, name)) or _policy(name)
        if policy is CleaningPolicy.KEEP:
            return self._clean_public(raw)
        if policy is CleaningPolicy.SENTENCE:
            return self.clean_sentence(raw)
        plain = unescape_text(raw) if "\\" in raw else raw
        if policy is CleaningPolicy.ACCOUNT:
            return ",".join(part and self.placeholder(policy, part) for part in plain.split(","))
        return self.placeholder(policy, plain)

    def _clean_public(self, raw: str) -> str:
        for account in self._accounts:
            if account in raw:
                raw = re.sub(_pattern(account), self._placeholders[CleaningPolicy.ACCOUNT, account], raw)
        return _EMAIL.sub(lambda match: self.placeholder(CleaningPolicy.MAIL, match[0]), raw) if "@" in raw else raw

    def _clean_account_value(self, key: str, raw: str) -> str:
        if key.startswith(_ACCOUNT_KEYS):
            return self._clean_value("", "account", raw)
        if self.keeps_private or _IMPERSONAL_VALUE.fullmatch(raw):
            return raw
        return self.clean_sentence(raw) if key.startswith(_IB_TEXT_KEYS) else self.placeholder(CleaningPolicy.TEXT, raw)

    def _replace_unknown(self, raw: str) -> str:
        """Replace a text of an unknown field. A number stays."""
        if not raw or (_NUMBER.fullmatch(raw) and raw not in self._accounts):
            return raw
        return self.placeholder(CleaningPolicy.TEXT, unescape_text(raw) if "\\" in raw else raw, is_secret=False)

    def _replace_account(self, match: "re.Match[str]") -> str:
        found = match[0]
        return found if found in self._used else self.placeholder(CleaningPolicy.ACCOUNT, found)

    def _account_placeholder(self, value: str) -> str:
        """Return another account id of the same kind, because programs know a paper account by its first letter, D."""
        match = re.match("[A-Z]{1,3}(?=[0-9])", value)
        prefix, size = (match[0], len(value) - match.end()) if match else ("DU", 7)
        while True:
            self._counts[prefix] = self._counts.get(prefix, 0) + 1
            made = f"{prefix}{self._counts[prefix]:0{min(max(size, 5), 9)}}"
            if made != value and made not in self._accounts:
                return made

    def _numbered_placeholder(self, policy: CleaningPolicy) -> str:
        self._counts[policy.value] = self._counts.get(policy.value, 0) + 1
        number = self._counts[policy.value]
        return f"mail-{number}@example.com" if policy is CleaningPolicy.MAIL else f"{policy.value}-{number}"


_VALUE_MESSAGES = frozenset(
    {
        *("updateAccountValue", "accountUpdateMulti", "accountSummary"),
        *("AccountValue", "AccountUpdateMulti", "AccountSummary"),
    }
)


@functools.cache
def _policy(name: str) -> CleaningPolicy:
    if name in PUBLIC_FIELDS:
        return CleaningPolicy.KEEP
    return next((policy for policy, names in PRIVATE_FIELDS.items() if name in names), CleaningPolicy.TEXT)


@functools.lru_cache(maxsize=4096)
def _pattern(secret: str) -> str:
    inner = re.escape(secret)
    return inner if len(secret) >= _LONG_SECRET else rf"(?<![A-Za-z0-9]){inner}(?![A-Za-z0-9])"
