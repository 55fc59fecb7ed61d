# SPDX-License-Identifier: LGPL-2.1-or-later
"""Pictures of the page: programs for gnuplot, with their data in them."""

import subprocess

import measures
import verdicts
from results import AMOUNTS, DOWNTIME, ORDERS, PLACES, TIME
from sections import WHATS

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")


def block(name, lines):
    """Data in the program; gnuplot has none without a line."""
    text = "".join(" ".join(map(str, line)) + "\n" for line in lines)
    return f"${name} << END\n{text}END\n"


def quoted(text):
    return '"' + text.replace("_", "\\\\_") + '"'


def error_bars(amount, at, values):
    return [at, *(f"{value / amount.per_unit:.6g}" for value in measures.spread(values))]


def axes(amount, title, x):
    return (f"set title {quoted(title)}\nset xlabel {quoted(x)} offset 0,0.6\n"
            f"set ylabel {quoted(amount.unit)}\n")


def panels(program, columns):
    """A picture of several, side by side."""
    return (f"set terminal svg size {330 * columns},340 background 'white' font 'sans,11'\n"
            f"set multiplot layout 1,{columns}\nset grid ytics lc rgb '#dddddd'\n"
            "set bars small\nset key below samplen 2 font ',10'\n" + program + "unset multiplot\n")


def series(number, data, title, style="yerrorlines"):
    return (f"${data} using 1:2:3:4 with {style} lc rgb '{COLOURS[number % len(COLOURS)]}' "
            f"pt {5 + number} ps 0.6 title {quoted(title)}")


def figure_1(rows):
    """Time and downtime over the dirty size, a line for each memory size."""
    program = ""
    for amount in (TIME, DOWNTIME):
        drawn = []
        for number, (name, sizes, values) in enumerate(verdicts.lines(rows, amount, 1)):
            data = f"{amount.name}{number}"
            program += block(data, [error_bars(amount, *each) for each in zip(sizes, values)])
            drawn.append(series(number, data, name))
        if not drawn:
            return None
        program += axes(amount, amount.name, "dirty size, MB")
        program += "set yrange [0:]\nplot " + ", ".join(drawn) + "\n"
    return panels(program, 2)


def place(results, experiment):
    """The idle guests on either side of the one that works, by its place."""
    program = ""
    for amount in AMOUNTS:
        others, drawn = results.others(experiment, amount), []
        for number, side in enumerate(("before", "after")):
            lines = [error_bars(amount, where + (number - 0.5) / 10, values)
                     for (where, there), values in sorted(others.items()) if there == side]
            if not lines:
                return None
            program += block(f"{amount.name}_{side}", lines)
            drawn.append(series(number, f"{amount.name}_{side}", f"{side} it"))
        usual = results.baseline(amount, 1)
        if usual:
            drawn.append(f"{measures.median(usual) / amount.per_unit:.6g} lc rgb 'black' dt 2 "
                         "title 'without it'")
        program += axes(amount, f"{amount.name} of idle guests", f"place of {PLACES[experiment]}")
        program += "set xrange [0.7:4.3]\nset xtics 1\nset yrange [0:]\n"
        program += f"plot {', '.join(drawn)}\n"
    return panels(program, len(AMOUNTS))


def orders(results):
    found = results.orders()
    there = [order for order in ORDERS if order in found]
    if not there:
        return None
    program = "set xtics ({}) rotate by -30\nunset key\n".format(
        ", ".join(f"{quoted(order)} {i}" for i, order in enumerate(there)))
    for number, (what, amount) in enumerate(WHATS.items()):
        program += block(f"d{number}", [
            error_bars(amount, i, [values[what] for values in found[order].values()])
            for i, order in enumerate(there)])
        program += axes(amount, what, "")
        program += f"set xrange [-0.5:{len(there) - 0.5}]\nset yrange [0:]\n"
        program += f"plot {series(number, f'd{number}', what, 'yerrorbars')}\n"
    return panels(program, len(WHATS))


def predictions(results):
    """Predicted over measured, a colour for each kind, and lines of what is allowed."""
    program = "set logscale xy\n"
    kinds = sorted({row["kind"] for row in results.migrations})
    for amount in AMOUNTS:
        drawn, ends = [], []
        for number, kind in enumerate(kinds):
            lines = [[row[column] / amount.per_unit
                      for column in (amount.measured, amount.predicted)]
                     for row in results.migrations if row["kind"] == kind
                     and row["state"] == "done" and row[amount.measured] and row[amount.predicted]]
            if lines:
                ends += [value for line in lines for value in line]
                program += block(f"{amount.name}{number}", lines)
                drawn.append(f"${amount.name}{number} with points pt 7 ps 0.4 lc rgb "
                             f"'{COLOURS[number % len(COLOURS)]}' title {quoted(kind)}")
        if not drawn:
            return None
        per_cent = verdicts.per_cent(amount.allowed)
        drawn += ["x lc rgb 'black' notitle",
                  f"x * {1 + amount.allowed} lc rgb 'black' dt 2 title '± {per_cent}'",
                  f"x * {1 - amount.allowed} lc rgb 'black' dt 2 notitle"]
        program += axes(amount, amount.name, f"measured, {amount.unit}")
        program += f"r = {min(ends) * 0.8:.6g}\ns = {max(ends) * 1.25:.6g}\n"
        program += "set xrange [r:s]\nset yrange [r:s]\nset xtics 1, 2\nset ytics 1, 2\n"
        program += f"set ylabel 'predicted, {amount.unit}'\nplot {', '.join(drawn)}\n"
    return panels(program, len(AMOUNTS))


def programs(results):
    """{name: program for gnuplot} of all there is something to show in."""
    made = {"figure-1": figure_1(results.of("figure-1")),
            "figure-1-xen": figure_1(results.of("xen", kind="memory-dirty")),
            **{experiment: place(results, experiment) for experiment in PLACES},
            "orders": orders(results), "predictions": predictions(results)}
    return {name: program for name, program in made.items() if program}


def draw(program, path):
    drawn = subprocess.run(["gnuplot"], input=program, text=True, capture_output=True, check=False)
    if drawn.returncode or not drawn.stdout.rstrip().endswith("</svg>"):
        raise RuntimeError(f"gnuplot: {path.name}: {drawn.stderr}")
    # It leaves blanks at ends of lines.
    path.write_text("\n".join(line.rstrip() for line in drawn.stdout.split("\n")),
                    encoding="utf-8")
