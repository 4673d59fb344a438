"""The dashboard and the alert rules use only metrics, labels and values that exist."""

import json
import re
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from ibkr.core.gateway_status import GatewayState, GatewayStatus
from ibkr.core.outage import OutageCause
from ibkr.core.states import ConnectionState as S
from ibkr.core.states import FarmState
from ibkr.core.stats import Stats
from ibkr.core.subscription_info import SubscriptionState
from ibkr.observe.metrics import Metrics
from tests.observe.conftest import T0, at, tell

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = yaml.safe_load((DEPLOY / "prometheus" / "ibkr.rules.yml").read_text(encoding="utf-8"))["groups"]
DASHBOARD = json.loads((DEPLOY / "grafana" / "ibkr.json").read_text(encoding="utf-8"))
ALERTS = [rule for group in RULES for rule in group["rules"]]
PANELS = [(panel["title"], target["expr"]) for panel in DASHBOARD["panels"] for target in panel["targets"]]
QUERIES = [*((rule["alert"], rule["expr"]) for rule in ALERTS), *PANELS]
OF_PROMETHEUS = {"up": {"job", "instance"}}
VALUES = {
    "ibkr_state": set(map(str, S)),
    "ibkr_state_seconds_total": set(map(str, S)),
    "ibkr_gateway_state": set(map(str, GatewayState)),
    "ibkr_subscriptions": set(map(str, SubscriptionState)),
    "ibkr_outages_total": set(map(str, OutageCause)),
}

__all__ = ["at", "tell"]


@pytest.fixture(scope="module")
def told():
    """Every existing metric with its labels, as a scraper reads them."""
    return {}


@pytest.fixture
def metrics(told, at, tell):
    made = Metrics(lambda: Stats(T0, round_trips=(0.1,), probes=1))
    gateway = GatewayStatus(GatewayState.RUNNING, T0)
    for status in (at(0, S.READY, gateway=gateway, farms={"usfarm": FarmState.OK}), at(1, S.RECONNECTING)):
        tell(made, status)
    tell(made, at(2, S.READY, gateway=gateway, farms={"usfarm": FarmState.OK}))
    for family in text_string_to_metric_families(made.render()[1].decode()):
        for sample in family.samples:
            told[sample.name] = set(sample.labels) | {"job", "instance"}
    told |= OF_PROMETHEUS | {"ibkr_sink_dropped_total": {"sink", "job", "instance"}}
    told["ibkr_sink_failures_total"] = told["ibkr_sink_dropped_total"]
    return told


@pytest.mark.parametrize(
    ("name", "query"), QUERIES, ids=[f"{name}-{number}" for number, (name, _) in enumerate(QUERIES)]
)
def test_a_query_asks_for_what_there_is(name, query, metrics):
    asked = re.findall(r"\b((?:ibkr|up)(?:_[a-z_]+)?)\b(?:\{([^}]*)\})?", query)
    assert asked
    for metric, matchers in asked:
        assert metric in metrics, metric
        for label, operator, values in re.findall(r'([a-z_]+)(=~|!=|=)"([^"]*)"', matchers):
            assert label in metrics[metric], (metric, label)
            if label in ("state", "standing", "cause"):
                assert operator in ("=", "=~")
                assert set(values.split("|")) <= VALUES[metric], values
    assert query.count("(") == query.count(")")


def test_rates_are_of_counters_and_quantiles_of_histograms():
    for _, query in QUERIES:
        for metric in re.findall(r"(?:rate|increase)\((ibkr_[a-z_]+)", query):
            assert metric.endswith(("_total", "_bucket")), query
        assert ("histogram_quantile" in query) == ("_bucket" in query)
        assert "histogram_quantile" not in query or "le)" in query


def test_texts_of_alerts_name_labels_that_their_query_keeps(metrics):
    assert len({rule["alert"] for rule in ALERTS}) == len(ALERTS) >= 10
    for rule in ALERTS:
        assert rule["labels"]["severity"] in ("critical", "warning", "info")
        kept = set().union(
            *(metrics[name] for name in re.findall(r"\b(?:ibkr|up)(?:_[a-z_]+)?\b", rule["expr"]) if name in metrics)
        )
        if by := re.search(r"sum by \(([a-z, ]+)\)", rule["expr"]):
            kept = set(by[1].replace(" ", "").split(","))
        for text in rule["annotations"].values():
            assert set(re.findall(r"\$labels\.([a-z_]+)", text)) <= kept, rule["alert"]


def test_every_metric_is_on_the_dashboard(metrics):
    queries = " ".join(query for _, query in PANELS)
    missing = {name for name in metrics if name not in queries and name not in OF_PROMETHEUS}
    assert {name for name in missing if not name.endswith(("_count", "_sum", "_created"))} == set()


def test_the_dashboard_hangs_together():
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(set(places)) == len(places), "no panel lies over another"
    assert max(x for x, _ in places) < 24
    sources = {target["datasource"]["uid"] for panel in panels for target in panel["targets"]}
    assert sources == {"${datasource}"}
    assert {each["name"] for each in DASHBOARD["templating"]["list"]} == {"datasource", "instance"}
