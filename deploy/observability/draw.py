#!/usr/bin/env python3
"""Draws grafana-dashboard.json from the data of a Prometheus, as Grafana would lay it out, where there is no Grafana.

    draw.py http://127.0.0.1:9090 OUT.png [SECONDS]

Needs matplotlib. Draws rows, stats and time series on the 24 columns of the grid; every instance and agent is chosen.
"""
import datetime
import json
import math
import pathlib
import re
import sys
import time
import urllib.parse
import urllib.request

import matplotlib

matplotlib.use("Agg")
import matplotlib.dates as dates
import matplotlib.pyplot as plt
from matplotlib.patches import FancyBboxPatch
from matplotlib.ticker import FuncFormatter, MaxNLocator, MultipleLocator

COLUMN, ROW = 0.72, 0.34  # inches of a grid cell
GAP = 0.07  # inches between panels
PALETTE = ["#7EB26D", "#EAB839", "#6ED0E0", "#EF843C", "#E24D42", "#1F78C1", "#BA43A9", "#705DA0", "#508642", "#CCA300"]
COLOURS = {"green": "#3a9d48", "orange": "#e08400", "red": "#d6333f", "blue": "#2f6fc4"}
INK, PALE, PAPER, LINE = "#24292e", "#6b7280", "#f4f5f5", "#dcdfe3"


def ask(url, path, **query):
    with urllib.request.urlopen(f"{url}/api/v1/{path}?{urllib.parse.urlencode(query)}", timeout=30) as answer:
        return json.load(answer)["data"]["result"]


def chosen(expression, window):
    for name in ("$instance", "$agent"):
        expression = expression.replace(name, ".*")
    return expression.replace("$__rate_interval", window)


def legend(target, labels):
    text = re.sub(r"\{\{(\w+)\}\}", lambda name: labels.get(name[1], ""), target.get("legendFormat", ""))
    return text or ", ".join(labels.values())


def scaled(value, steps, base):
    step = 0
    while abs(value) >= base and step < len(steps) - 1:
        value, step = value / base, step + 1
    return f"{value:.3g}{steps[step]}"


def worded(value, unit, decimals=None):
    if value is None or math.isnan(value):
        return "no data"
    if unit == "percentunit":
        return f"{value * 100:.{1 if decimals is None else decimals}f}%"
    if unit == "s":
        for size, name in ((1, "s"), (1e-3, "ms"), (1e-6, "µs")):
            if abs(value) >= size or (size == 1e-6 and value):
                return f"{value / size:.3g} {name}"
        return "0 s"
    if unit == "bytes":
        return scaled(value, [" B", " KiB", " MiB", " GiB", " TiB"], 1024)
    if unit == "Bps":
        return scaled(value, [" B/s", " kB/s", " MB/s", " GB/s"], 1000)
    if unit in ("reqps", "wps"):
        return f"{value:,.0f} /s" if abs(value) >= 100 else f"{value:.3g} /s" if decimals is None else f"{value:.{decimals}f} /s"
    if unit == "dateTimeFromNow":
        minutes = max(0, (time.time() - value / 1000) / 60)
        return f"{minutes:.0f} min ago" if minutes < 120 else f"{minutes / 60:.0f} h ago"
    return f"{value:,.0f}" if value == int(value) else scaled(value, ["", "k", "M", "G"], 1000)


def stat(axes, panel, series):
    axes.axis("off")
    defaults = panel["fieldConfig"]["defaults"]
    latest = [(labels, values[-1]) for labels, _, values in series if values]
    value = latest[0][1] if latest else None
    colour = PALE
    if value is not None and not math.isnan(value):
        for step in defaults["thresholds"]["steps"]:
            if step["value"] is None or value >= step["value"]:
                colour = COLOURS[step["color"]]
    text = worded(value, defaults["unit"], defaults.get("decimals"))
    for mapping in defaults.get("mappings", []):
        if value is not None and f"{value:g}" in mapping["options"]:
            text = mapping["options"][f"{value:g}"]["text"]
    if latest and panel["targets"][0].get("legendFormat"):
        text = f"{text} × {legend(panel['targets'][0], latest[0][0])}"
    size = 18 if len(text) < 9 else 14
    axes.text(0.5, 0.42, text, ha="center", va="center", fontsize=size if value is not None else 11, color=colour, fontweight="bold")


def lines(axes, panel, series):
    defaults = panel["fieldConfig"]["defaults"]
    stacked = defaults["custom"]["stacking"]["mode"] == "normal"
    base, names, most = {}, {}, 0.0
    for number, (target_labels, times, values) in enumerate(series):
        colour = PALETTE[number % len(PALETTE)]
        clean = [0.0 if stacked and math.isnan(value) else value for value in values]
        floor = [base.get(at, 0.0) for at in times] if stacked else [0.0] * len(times)
        tops = [value + below for value, below in zip(clean, floor)]
        at = [datetime.datetime.fromtimestamp(moment) for moment in times]
        axes.fill_between(at, floor, tops, color=colour, alpha=0.32 if stacked else 0.08, linewidth=0)
        axes.plot(at, tops, color=colour, linewidth=1.1, label=target_labels)
        if stacked:
            base.update(zip(times, tops))
        most = max([most] + [top for top in tops if not math.isnan(top)])
    axes.set_ylim(0, most * 1.12 if most > 0 else 1)
    if defaults["unit"] == "bytes" and most > 0:
        axes.yaxis.set_major_locator(MultipleLocator(2 ** math.ceil(math.log2(most / 3))))
    else:
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=defaults["unit"] == "none" and most >= 1))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: worded(value, defaults["unit"])))
    axes.xaxis.set_major_locator(dates.AutoDateLocator(minticks=3, maxticks=5))
    axes.xaxis.set_major_formatter(dates.DateFormatter("%H:%M" if span > 300 else "%H:%M:%S"))
    axes.tick_params(labelsize=8, colors=PALE, length=0)
    axes.tick_params(axis="x", pad=7)
    axes.grid(color=LINE, linewidth=0.6)
    for side in axes.spines.values():
        side.set_visible(False)
    axes.set_xlim(datetime.datetime.fromtimestamp(end - span), datetime.datetime.fromtimestamp(end))
    if not series:
        axes.set_yticks([])
        axes.text(0.5, 0.5, "no data", transform=axes.transAxes, ha="center", va="center", color=PALE, fontsize=9)
    else:
        longest = max(len(name) for name, _, _ in series)
        columns = 1 if longest > 28 else 2 if longest > 18 else 3 if len(series) > 2 else len(series)
        axes.legend(loc="upper left", bbox_to_anchor=(-0.03, -0.17), ncol=columns, fontsize=8, frameon=False, labelcolor=INK,
                    handlelength=1.0, columnspacing=1.0, handletextpad=0.4, borderaxespad=0.1, labelspacing=0.25)


def fetch(url, panel, end, span):
    window, step, found = f"{max(15, int(span // 8))}s", max(1, span / 240), []
    for target in panel["targets"]:
        expression = chosen(target["expr"], window)
        for result in ask(url, "query_range", query=expression, start=end - span, end=end, step=step):
            labels = {name: value for name, value in result["metric"].items()}
            times = [float(at) for at, _ in result["values"]]
            values = [float(value) for _, value in result["values"]]
            if panel["type"] == "stat":
                found.append((labels, times, values))
            elif any(not math.isnan(value) for value in values):
                found.append((legend(target, labels), times, values))
    return found


if len(sys.argv) not in (3, 4):
    sys.exit(__doc__)
url, out, span = sys.argv[1].rstrip("/"), sys.argv[2], float(sys.argv[3]) if len(sys.argv) == 4 else 180.0
end = time.time()
dashboard = json.loads((pathlib.Path(__file__).parent / "grafana-dashboard.json").read_text())
panels = dashboard["panels"]
height = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels) * ROW + 0.6
width = 24 * COLUMN
plt.rcParams["font.family"] = "DejaVu Sans"
figure = plt.figure(figsize=(width, height), facecolor=PAPER)
began = datetime.datetime.fromtimestamp(end - span).strftime("%Y-%m-%d %H:%M:%S")
figure.text(0.1 / width, 1 - 0.3 / height, dashboard["title"], fontsize=15, fontweight="bold", color=INK, va="center")
figure.text(1 - 0.1 / width, 1 - 0.3 / height, f"Instance: All    Agent: All    {began} and {span:.0f} s on",
            fontsize=9, color=PALE, va="center", ha="right")
for panel in panels:
    place = panel["gridPos"]
    left, top = place["x"] * COLUMN + GAP, 0.6 + place["y"] * ROW + GAP
    wide, tall = place["w"] * COLUMN - 2 * GAP, place["h"] * ROW - 2 * GAP
    at = lambda x, y, w, h: [x / width, 1 - (y + h) / height, w / width, h / height]
    if panel["type"] == "row":
        figure.text((left + 0.03) / width, 1 - (top + tall / 2) / height, f"▾  {panel['title']}", fontsize=11, fontweight="bold", color=INK, va="center")
        continue
    x, y, w, h = at(left, top, wide, tall)
    figure.patches.append(FancyBboxPatch((x, y), w, h, boxstyle="square,pad=0", facecolor="white", edgecolor=LINE, linewidth=0.8, transform=figure.transFigure, zorder=-1))
    figure.text((left + 0.1) / width, 1 - (top + 0.16) / height, panel["title"], fontsize=9.5, color=INK, va="center", fontweight="medium")
    series = fetch(url, panel, end, span)
    if panel["type"] == "stat":
        stat(figure.add_axes(at(left, top + 0.2, wide, tall - 0.2)), panel, series)
    else:
        rows = math.ceil(len(series) / (1 if max([len(name) for name, _, _ in series] or [0]) > 28 else 3))
        under = 0.36 + 0.17 * min(rows, 4)
        lines(figure.add_axes(at(left + 0.62, top + 0.38, wide - 0.78, tall - 0.38 - under)), panel, series)
figure.savefig(out, dpi=110, facecolor=PAPER)
