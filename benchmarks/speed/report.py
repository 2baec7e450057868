"""The tables in Markdown, and the chart, of the results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..generated import write_section
from .machine import one_line
from .settings import ALONE, GOALS, OURS, POINTS, SHARE, SHARED, TITLES

__all__ = ["chart", "tables", "write_report"]


def write_report(page: Path, results: dict[str, Any]) -> None:
    """Writes the tables into the page, and the chart, such as "speed-cpu.svg", beside it; each clock has its own."""
    provider, by_processor = results["settings"]["provider"], results["settings"]["clock"] == "processor"
    picture = page.with_name(f"speed-{provider}{'-processor' if by_processor else ''}.svg")
    chart(results, picture)
    text = f"![Times over onnxray's]({picture.name})\n\n{tables(results)}"
    write_section(page, f"speed on {provider}{', processor time' if by_processor else ''}", text)


def tables(results: dict[str, Any]) -> str:
    """The machine in a sentence, a table of times, and one of memory and opening times."""
    parts = [one_line(results["machine"]) + _clock(results["settings"]), goals_table(results["row"])]
    parts.append(times_table(results["row"]))
    if results["settings"]["provider"] == "cuda":
        parts.insert(1, f"TF32 is {'on' if results['settings']['tf32'] else 'off'} on all sides.")
    if results["memory"]:
        parts.append(memory_table(results["memory"]))
    parts = [part for part in parts if part]
    parts += [f"Failed: {TITLES.get(one['net'], one['net'])}: {one['error']}" for one in results["failure"]]
    return "\n\n".join(parts)


def _clock(settings: dict[str, Any]) -> str:
    return " Times are processor time, of all threads." if settings["clock"] == "processor" else ""


def goals_table(rows: list[dict[str, Any]]) -> str:
    """A line for each goal of a row: of its reference's time, of its time in the model, beside its quickest peer."""
    goals = [(row, *goal) for row in rows for goal in _goals(row)]
    missed = [
        f"{TITLES[row['net']]}, {row['method']}: {what} {value} ({limit})"
        for row, what, value, limit, met in goals
        if not met
    ]
    if not goals:
        return ""
    said = f"{len(goals) - len(missed)} of {len(goals)} goals are met. Missed: {'; '.join(missed) or 'none'}."
    lines = [
        f"| {TITLES[row['net']]} | {row['method']} | {row['batch']} | {what} | {value} | {limit} | "
        f"{'yes' if met else 'no'} |"
        for row, what, value, limit, met in goals
    ]
    return "\n".join([said, "", "| net | method | batch | goal | measured | limit | met |", "|" + "---|" * 7, *lines])


def _goals(row: dict[str, Any]) -> list[tuple[str, float, str, bool]]:
    """What is measured, its value, the limit, and whether it is met."""
    found: list[tuple[str, float, str, bool]] = []
    if "of_reference" in row:
        name, most = GOALS[row["method"]]
        found.append((f"of the time of {name}", row["of_reference"], f"{most:g}", row["of_reference"] <= most))
    if row["method"] in SHARED and "share_of_model" in row:
        found.append(("share of the model", row["share_of_model"], f"{SHARE:g}", row["share_of_model"] >= SHARE))
    if "ratio" in row:
        found.append((f"of the time of {row['best_peer']}", row["ratio"], "1", row["ratio"] <= 1))
    return found


def times_table(rows: list[dict[str, Any]]) -> str:
    """A line for each side of each row."""
    head = (
        "| net | method | batch | onnxray, ms | added by the call, ms | of forward | best peer | ms "
        "| onnxray / best peer | distance | other sides, ms |\n|" + "---|" * 11
    )
    return "\n".join([head, *(_line(row) for row in rows)])


def _line(row: dict[str, Any]) -> str:
    sides, best = row["sides"], row.get("best_peer")
    others = [f"{name} {_time(side)}" for name, side in sides.items() if name not in (OURS, best)]
    cells = [TITLES[row["net"]], row["method"], row["batch"], _time(sides[OURS]), _number(row["added"]["median"])]
    cells += [row["of_forward"], best or "", _time(sides[best]) if best else "", row.get("ratio", "")]
    cells += [f"{row['distances'][best]:.0e}" if best in row["distances"] else "", "; ".join(others)]
    return f"| {' | '.join(str(cell) for cell in cells)} |"


def _time(side: dict[str, Any]) -> str:
    return f"{_number(side['median'])} ({_number(side['lower_quartile'])} to {_number(side['upper_quartile'])})"


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 1 else f"{value:.2f}"


def memory_table(records: list[dict[str, Any]]) -> str:
    head = (
        "| net | method | side | peak of the process, MiB | above its imports, MiB | opening, s | first call, s |\n|"
        + "---|" * 7
    )
    lines = [
        f"| {TITLES[one['net']]} | {'' if one['side'] == 'forward' else one['method']} | {one['side']} | "
        f"{one['peak_mib']:.0f} | {one['peak_above_imports_mib']:.0f} | {one['open_seconds']:.2f} | "
        f"{one['first_call_seconds']:.2f} |"
        for one in records
    ]
    return "\n".join([head, *lines])


def chart(results: dict[str, Any], file: Path) -> None:
    """Bars from 1: the time of each peer and of the forward pass over onnxray's, one group for each row."""
    import matplotlib as mpl

    mpl.use("agg")
    with mpl.rc_context({"svg.hashsalt": "onnxray", "svg.fonttype": "none"}):  # the same file for the same numbers
        _draw(results["row"], file)


def _draw(rows: list[dict[str, Any]], file: Path) -> None:
    from matplotlib import pyplot as plt

    bars = [(y, row, _peers(row)) for y, row in enumerate(rows)]
    names = list(dict.fromkeys(name for _, _, peers in bars for name in peers))
    figure, axes = plt.subplots(
        figsize=(9, 1.2 + 0.17 * sum(len(peers) + 1 for *_, peers in bars)), layout="constrained"
    )
    for k, name in enumerate(names):
        held = [(y, row["sides"], peers) for y, row, peers in bars if name in peers]
        places = [y + 0.8 * (peers.index(name) + 0.5) / len(peers) - 0.4 for y, _, peers in held]
        widths = [sides[name]["median"] / sides[OURS]["median"] - 1 for _, sides, _ in held]
        axes.barh(places, widths, [0.8 / len(peers) for *_, peers in held], left=1, label=name, color=f"C{k}")
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("")
    axes.set_xticks(
        [x for x in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100) if axes.get_xlim()[0] <= x <= axes.get_xlim()[1]]
    )
    axes.set_xlabel("time over onnxray's: right of 1, onnxray is faster")
    axes.set_yticks(range(len(rows)), [f"{TITLES[row['net']]}, {row['method']}, batch {row['batch']}" for row in rows])
    axes.invert_yaxis()
    figure.legend(loc="outside upper center", ncols=3, fontsize="small")
    figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)
    plt.close(figure)


def _peers(row: dict[str, Any]) -> list[str]:
    """The sides of other packages, and the forward pass, which is no measure of a method that runs many."""
    hidden = ("forward",) if row["method"] in POINTS else ()
    ours = [name for name in row["sides"] if name == ALONE or name.partition(",")[0] == OURS]
    return [name for name in row["sides"] if name not in (*ours, *hidden)]
