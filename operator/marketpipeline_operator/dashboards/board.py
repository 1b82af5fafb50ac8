"""A dashboard under construction: what every one of ours has, and panels by the kind of picture that they are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, TypeAlias

from grafana_foundation_sdk.builders import bargauge, candlestick, common, dashboard, prometheus, stat, statushistory
from grafana_foundation_sdk.builders import table as tables
from grafana_foundation_sdk.builders import timeseries as series
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models import common as shapes
from grafana_foundation_sdk.models import dashboard as parts
from grafana_foundation_sdk.models.candlestick import VizDisplayMode

from marketpipeline_operator.dashboards.stores import Store

__all__ = ["Board", "Level", "Query", "Series"]

Level: TypeAlias = tuple[float, str]
"""From which value on a colour holds."""

_SYMBOL_DASHBOARD = "/d/mp-symbol-deep-dive-{store}?var-symbol=${{__data.fields.symbol}}"
_AT_ITS_TIME = "&from=${{__data.fields.from_ms}}&to=${{__data.fields.to_ms}}"


class Query(Dataquery, Builder[Dataquery]):
    """A question in SQL. Without `over_time` its answer is a table."""

    def __init__(self, store: Store, sql: str, *, over_time: bool, name: str = "A") -> None:
        self.store, self.sql, self.over_time, self.name = store, sql, over_time, name

    def build(self) -> Dataquery:
        return self

    def to_json(self) -> dict[str, object]:
        common_part = {"refId": self.name, "datasource": source(self.store.plugin), "rawSql": self.sql}
        if self.store.is_clickhouse:
            kind = "timeseries" if self.over_time else "table"
            return common_part | {"editorType": "sql", "queryType": kind, "format": 0 if self.over_time else 1}
        kind = "time_series" if self.over_time else "table"
        return common_part | {"editorMode": "code", "rawQuery": True, "format": kind}


class Series(Builder[Dataquery]):
    """An expression of Prometheus, and what its series are called (`{{label}}` for a label's value)."""

    def __init__(self, expression: str, legend: str, name: str = "A") -> None:
        self.expression, self.legend, self.name = expression, legend, name

    def build(self) -> Dataquery:
        query = prometheus.Dataquery().expr(self.expression).legend_format(self.legend).ref_id(self.name)
        return query.datasource(source("prometheus")).range().build()


def source(plugin: str) -> parts.DataSourceRef:
    """The data source that the reader of the dashboard has chosen."""
    return parts.DataSourceRef(type_val=plugin, uid="${datasource}")


class Board:
    """Panels are laid out from left to right, 24 units a row; each says what it shows, in which unit."""

    def __init__(self, uid: str, title: str, about: str, plugin: str, refresh: str = "5s") -> None:
        self.plugin = plugin
        self._board = (
            dashboard.Dashboard(title)
            .uid(uid)
            .description(about)
            .tags(["marketpipeline"])
            .timezone("utc")
            .time("now-1h", "now")
            .refresh(refresh)
            .readonly()
            .tooltip(parts.DashboardCursorSync.CROSSHAIR)
            .with_variable(dashboard.DatasourceVariable("datasource").label("Data source").type(plugin))
            .link(
                dashboard.DashboardLink("Other dashboards")
                .type(parts.DashboardLinkType.DASHBOARDS)
                .tags(["marketpipeline"])
                .as_dropdown(True)
                .include_vars(True)
                .keep_time(True)
            )
        )

    def choose(self, name: str, label: str, sql: str, *, several: bool = False) -> None:
        """A variable whose values the data source lists."""
        variable = (
            dashboard.QueryVariable(name)
            .label(label)
            .datasource(source(self.plugin))
            .query(sql)
            .refresh(parts.VariableRefresh.ON_TIME_RANGE_CHANGED)
            .sort(parts.VariableSort.ALPHABETICAL_ASC)
        )
        self._board.with_variable(variable.multi(True).include_all(True) if several else variable)

    def choose_of(self, name: str, label: str, values: Sequence[str]) -> None:
        """A variable with given values; the first is chosen."""
        self._board.with_variable(dashboard.CustomVariable(name).label(label).values(",".join(values)))

    def mark(self, name: str, sql: str, colour: str, store: Store) -> None:
        """Marks on every panel over time."""
        target: Any = Query(store, sql, over_time=False).to_json()
        self._board.annotation(
            dashboard.AnnotationQuery()
            .name(name)
            .datasource(source(store.plugin))
            .icon_color(colour)
            .enable(True)
            .target(_Verbatim(target))
        )

    def row(self, title: str) -> None:
        """A heading."""
        self._board.with_row(dashboard.Row(title))

    def lines(
        self,
        title: str,
        about: str,
        queries: Sequence[Builder[Dataquery]],
        unit: str,
        *,
        width: int = 12,
        height: int = 8,
        levels: Sequence[Level] = (),
        bounds: tuple[float, float] | None = None,
        bars: bool = False,
        stacked: bool = False,
    ) -> None:
        """Lines or bars over time; `levels` are drawn as lines of their colours."""
        panel = series.Panel().legend(
            common.VizLegendOptions()
            .display_mode(shapes.LegendDisplayMode.LIST)
            .placement(shapes.LegendPlacement.BOTTOM)
            .show_legend(True)
        )
        panel.tooltip(common.VizTooltipOptions().mode(shapes.TooltipDisplayMode.MULTI))
        panel.show_points(shapes.VisibilityMode.NEVER).line_width(1).span_nulls(False)
        if bars:
            panel.draw_style(shapes.GraphDrawStyle.BARS).fill_opacity(70)
        if stacked:
            panel.stacking(common.StackingConfig().mode(shapes.StackingMode.NORMAL)).fill_opacity(40)
        if bounds is not None:
            panel.axis_soft_min(bounds[0]).axis_soft_max(bounds[1])
        if levels:
            panel.thresholds(_levels(levels)).thresholds_style(
                common.GraphThresholdsStyleConfig().mode(shapes.GraphThresholdsStyleMode.DASHED)
            )
        self._add(panel.unit(unit), title, about, queries, width, height)

    def number(
        self,
        title: str,
        about: str,
        query: Builder[Dataquery],
        unit: str,
        *,
        width: int = 4,
        decimals: int | None = None,
        levels: Sequence[Level] = (),
    ) -> None:
        """The newest value, large."""
        panel = stat.Panel().unit(unit).graph_mode(shapes.BigValueGraphMode.AREA)
        panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        panel.thresholds(_levels(levels)).no_value("none yet")
        if decimals is not None:
            panel.decimals(decimals)
        self._add(panel, title, about, [query], width, 4)

    def table(
        self,
        title: str,
        about: str,
        query: Query,
        units: dict[str, str],
        *,
        width: int = 24,
        height: int = 9,
        at_its_time: bool = False,
    ) -> None:
        """Rows; a column `symbol` links to that symbol's dashboard, with `at_its_time` from `from_ms` to `to_ms`."""
        panel = tables.Panel().no_value("none")
        for column, unit in units.items():
            panel.override_by_name(column, [parts.DynamicConfigValue("unit", unit)])
        link = (_SYMBOL_DASHBOARD + (_AT_ITS_TIME if at_its_time else "")).format(store=query.store.name)
        panel.override_by_name("symbol", [parts.DynamicConfigValue("links", [{"title": "Deep dive", "url": link}])])
        for hidden in ("from_ms", "to_ms") if at_its_time else ():
            panel.override_by_name(hidden, [parts.DynamicConfigValue("custom.hidden", True)])
        self._add(panel, title, about, [query], width, height)

    def candles(self, title: str, about: str, query: Query) -> None:
        """Open, high, low, close with the volume below."""
        panel = candlestick.Panel().mode(VizDisplayMode.CANDLES_VOLUME).include_all_fields(True)
        self._add(panel.legend(common.VizLegendOptions().show_legend(False)), title, about, [query], 24, 12)

    def heat(self, title: str, about: str, query: Query, unit: str, levels: Sequence[Level]) -> None:
        """A row of coloured cells for each series."""
        panel = statushistory.Panel().unit(unit).thresholds(_levels(levels)).show_value(shapes.VisibilityMode.AUTO)
        self._add(panel, title, about, [query], 24, 9)

    def ranking(
        self, title: str, about: str, query: Query, unit: str, levels: Sequence[Level], width: int = 12
    ) -> None:
        """A bar for each row of a table with a name and a number."""
        panel = bargauge.Panel().unit(unit).thresholds(_levels(levels)).orientation(shapes.VizOrientation.HORIZONTAL)
        panel.reduce_options(common.ReduceDataOptions().values(True).limit(20))
        self._add(panel.display_mode(shapes.BarGaugeDisplayMode.BASIC), title, about, [query], width, 9)

    def _add(
        self, panel: Any, title: str, about: str, queries: Sequence[Builder[Dataquery]], width: int, height: int
    ) -> None:
        plugin = queries[0].store.plugin if isinstance(queries[0], Query) else "prometheus"
        panel.title(title).description(about).datasource(source(plugin)).span(width).height(height)
        for query in queries:
            panel.with_target(query)
        self._board.with_panel(panel)

    def text(self) -> str:
        """The JSON of the dashboard; panels are numbered in their order, so that links to them stay."""
        built = json.loads(JSONEncoder(sort_keys=True).encode(self._board.build()))
        for number, panel in enumerate(built["panels"], 1):
            panel["id"] = number
        return json.dumps(built, indent=1, sort_keys=True) + "\n"


class _Verbatim(Builder[Any]):
    """The SDK knows no SQL as the target of an annotation."""

    def __init__(self, value: dict[str, object]) -> None:
        self._value = value

    def build(self) -> Any:
        return self._value


def _levels(levels: Sequence[Level]) -> Builder[parts.ThresholdsConfig]:
    steps = [parts.Threshold(value=value, color=colour) for value, colour in levels]
    first = parts.Threshold(value=None, color="green" if not levels else "text")
    return dashboard.ThresholdsConfig().mode(parts.ThresholdsMode.ABSOLUTE).steps([first, *steps])
