#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Statistics, rules and page of tests/lab/experiments, on cases whose answer is known.  Where there
are tables in doc/experiments, the page there is the one that they make."""

import pathlib
import shutil
import sys
import tempfile
import unittest
import xml.etree.ElementTree

sys.dont_write_bytecode = True
TOP = pathlib.Path(__file__).resolve().parents[1]
HERE = TOP / "tests/lab/experiments"
sys.path.insert(0, str(HERE))
# pylint: disable=wrong-import-position
import measures                                                     # noqa: E402
import plots                                                        # noqa: E402
import report                                                       # noqa: E402
import sections                                                     # noqa: E402
import table                                                        # noqa: E402
import verdicts                                                     # noqa: E402
from results import DOWNTIME, TIME, Results, read_table             # noqa: E402

BLOCKS = range(1, 6)
JITTER = (0.0, 0.01, -0.01, 0.02, -0.02)    # of five blocks


def migration(experiment, block, cell, seconds, position=1, **more):
    row = {**dict.fromkeys(table.MIGRATIONS), "experiment": experiment, "block": float(block),
           "cell": cell, "position": float(position), "hypervisor": "qemu", "vm": "subject",
           "kind": "memory-dirty", "memory_mb": 128.0, "size_mb": 16.0, "rate_mb": 8.0,
           "pattern": "random", "state": "done", "start_s": 0.0, "rounds": 3.0, "faults": "",
           "measured_s": seconds, "measured_downtime_s": 0.3, "measured_bytes": 1e8}
    return {**row, **more}


def rate(block, kind, beside, work, experiment="pairs"):
    return {**dict.fromkeys(table.RATES), "experiment": experiment, "block": block, "cell": "",
            "vm": kind, "kind": kind, "beside": beside, "work_per_s": work}


def places(experiment, kind, times, downtimes=None, blocks=BLOCKS):
    """times(position, place) of all runs of four guests, kind at each place."""
    return [migration(experiment, block, f"{kind} at {place}",
                      times(position, place) + JITTER[block - 1], position,
                      kind=kind if position == place else "idle",
                      vm=f"{kind if position == place else position}",
                      measured_downtime_s=downtimes(position, place) if downtimes else 0.3)
            for block in blocks for place in (1, 2, 3, 4) for position in (1, 2, 3, 4)]


def orders(**scale):
    """Runs of three guests; every migration of an order takes scale times as long."""
    return [migration("orders", block, order.replace("_", "-"), (5 + JITTER[block - 1]) * by,
                      position, vm=str(position), start_s=(position - 1) * 5.0 * by)
            for order, by in scale.items() for block in BLOCKS for position in (1, 2, 3)]


def verdict(claims, where, word=""):
    found = [claim for claim in claims if claim.where == where and word in claim.says]
    assert len(found) == 1, found
    return found[0].verdict()


class Statistics(unittest.TestCase):
    def test_quantiles_are_linear_between_values(self):
        self.assertEqual(measures.quantile([4, 1, 3, 2, 5], 0.9), 4.6)
        self.assertEqual(measures.quantile([4, 1, 3, 2, 5], 0), 1)
        self.assertEqual(measures.quantile([4, 1, 3, 2, 5], 1), 5)
        self.assertEqual(measures.quantile([7], 0.9), 7)
        self.assertEqual(measures.spread([3, 9, 1, 2]), (2.5, 1, 9))

    def test_a_repetition_is_held_against_the_others(self):
        # 1: median of 2, 4 is 3; 2: of 1, 4 is 2.5; 4: of 1, 2 is 1.5.  Two are too few.
        errors = measures.repetition_errors([[1, 2, 4], [1, 5]])
        for error, want in zip(errors, (2 / 3, 1 / 5, 5 / 3), strict=True):
            self.assertAlmostEqual(error, want)

    def test_exact_p_of_sign_flips(self):
        for differences, of_all in (([1, 1, 1, 1, 1], 1 / 32), ([3, 1, 2, 5, 4], 1 / 32),
                                    ([-1, 2, 3, 4, 5], 2 / 32), ([-1, -2, 3], 5 / 8),
                                    ([1, -1], 3 / 4), ([-1, -1, -1], 1), ([0, 0, 0], 1),
                                    ([-1, -2, 4], 4 / 8), ([0.1, 0.2, -0.3], 5 / 8)):
            self.assertEqual(measures.sign_flip(differences), of_all, differences)
        self.assertRaises(ValueError, measures.sign_flip, [1] * 21)

    def test_nothing_is_shown_by_four(self):
        self.assertIsNone(measures.shown([1] * 4))
        self.assertTrue(measures.shown([1] * 5))
        self.assertFalse(measures.shown([-1, 2, 3, 4, 5]))

    def test_holm(self):
        # Textbook: 0.01, 0.04, 0.03, 0.005 times 3, 1, 2, 4, none below one before it.
        for p, want in zip(measures.holm([0.01, 0.04, 0.03, 0.005]), (0.03, 0.06, 0.06, 0.02),
                           strict=True):
            self.assertAlmostEqual(p, want)
        self.assertEqual(measures.holm([0.5, 0.9]), [1.0, 1.0])

    def test_tau(self):
        self.assertEqual(measures.tau([1, 2, 3, 4]), 1)
        self.assertEqual(measures.tau([4, 3, 2, 1]), -1)
        self.assertAlmostEqual(measures.tau([1, 3, 2, 4]), 4 / 6)
        self.assertEqual(measures.tau([1, 1]), 0)


class Verdicts(unittest.TestCase):
    def test_words_follow_from_cases(self):
        for holds, want in (([True, True], "holds"), ([False, False], "does not hold here"),
                            ([True, False], "holds under the condition: 0"),
                            ([None, None], "not measured"), ([], "not measured"),
                            ([None, False], "does not hold here (not measured: 0)"),
                            ([True, None], "holds (not measured: 1)")):
            cases = [verdicts.Case(str(i), "", each) for i, each in enumerate(holds)]
            self.assertEqual(verdicts.Claim("", "", "", cases).verdict(), want)

    @staticmethod
    def grid(seconds, downtime, blocks=BLOCKS):
        return [migration("figure-1", block, "", seconds(memory, size) + JITTER[block - 1],
                          memory_mb=memory, size_mb=size,
                          measured_downtime_s=downtime(memory, size))
                for memory in (128.0, 256.0) for size in (4.0, 32.0) for block in blocks]

    def test_figure_1(self):
        memory, dirty = "grows with the memory", "grows with the dirty"
        share, free = "proportional", "unrelated"
        for seconds, downtime, words in (
                (lambda m, d: m + d, lambda m, d: d / 100,
                 {memory: "holds", dirty: "holds", share: "holds", free: "holds"}),
                (lambda m, d: 5 + d, lambda m, d: 0.3,
                 {memory: "does not hold here", dirty: "holds", share: "does not hold here",
                  free: "holds"}),
                (lambda m, d: m, lambda m, d: m * d ** 0.5,
                 {memory: "holds", dirty: "does not hold here", share: "does not hold here",
                  free: "does not hold here"}),
                # The spreads, 0.04 wide, overlap.
                (lambda m, d: 5 + m / 1e5, lambda m, d: 0.3, {memory: "does not hold here"}),
                (lambda m, d: m if d > 5 else 5, lambda m, d: 0.3,
                 {memory: "holds under the condition: dirty 32 MB"})):
            claims = list(verdicts.figure_1(self.grid(seconds, downtime)))
            for word, want in words.items():
                self.assertEqual(verdict(claims, "Fig. 1", word), want, word)

    def test_each_step_of_figure_1_rises(self):
        for middle, want in ((6, True), (5, False), (9, False)):
            self.assertEqual(verdicts.rises([[5, 5, 5], [middle] * 3, [7, 7, 7]]), want)

    def test_two_repetitions_of_figure_1_are_too_few(self):
        rows = self.grid(lambda m, d: m + d, lambda m, d: d, blocks=(1, 2))
        for claim in verdicts.figure_1(rows):
            self.assertRegex(claim.verdict(), "^not measured$")

    def test_guests_that_differ_otherwise_are_no_line(self):
        rows = self.grid(lambda m, d: m, lambda m, d: d)
        for row in rows:
            row["rate_mb"] = row["memory_mb"]
        self.assertEqual(list(verdicts.lines(rows, TIME, 0)), [])
        names = [name for name, *_ in verdicts.lines(rows, TIME, 1)]
        self.assertEqual(names, ["memory 128 MB, 128 MB/s random",
                                 "memory 256 MB, 256 MB/s random"])

    def test_table_1(self):
        def rows(**seconds):
            return [migration("table-1", block, kind, at + JITTER[block - 1], overhead=at / 100,
                              kind=kind.replace("_", "-"), measured_downtime_s=at)
                    for kind, at in seconds.items() for block in BLOCKS]
        claims = list(verdicts.table_1(Results(rows(idle=1, cpu=2, disk_io=9, memory_dirty=3,
                                                    web_server=2))))
        self.assertEqual(verdict(claims, "Table 1", "disk"), "holds")
        self.assertEqual(verdict(claims, "Table 1", "CPU workloads"), "holds")
        self.assertEqual(verdict(claims, "Table 1", "memory accesses"), "holds")
        self.assertEqual(verdict(claims, "Table 1", "A network"), "does not hold here")
        claims = list(verdicts.table_1(Results(rows(cpu=5, disk_io=2, memory_dirty=6))))
        self.assertEqual(verdict(claims, "Table 1", "disk"), "does not hold here")
        self.assertEqual(verdict(claims, "Table 1", "CPU workloads"), "does not hold here")
        self.assertRegex(verdict(claims, "Table 1", "A network"), "^not measured")

    def test_slowdowns(self):
        rows = [rate(block, kind, beside, work * (1 + JITTER[block - 1])) for block in BLOCKS
                for kind, beside, work in (
                    ("cpu", "", 100), ("cpu", "cpu", 50), ("cpu", "memory-dirty", 30),
                    ("disk-io", "", 100), ("disk-io", "disk-io", 45), ("disk-io", "cpu", 97),
                    ("cpu", "disk-io", 80))]
        results = Results([], rows)
        self.assertAlmostEqual(results.slowdowns()["cpu", "memory-dirty"][0], 0.7)
        claims = list(verdicts.table_2(results))
        table_2 = next(claim for claim in claims if claim.where.startswith("Table 2"))
        self.assertIn("40 % (memory-dirty against cpu)", table_2.cases[0].figure)
        self.assertEqual(table_2.verdict(), "holds (not measured: memory-dirty)")
        self.assertEqual(verdict(claims, "Fig. 3", "slow each other"), "holds")
        self.assertEqual(verdict(claims, "Fig. 3", "well"),
                         "holds under the condition: disk-io beside cpu")
        for row in rows:
            if row["beside"] == "disk-io" and row["kind"] == "disk-io":
                row["work_per_s"] *= 2.1    # always slower, and hardly: 5.5 %
        self.assertEqual(verdict(verdicts.table_2(results), "Fig. 3", "slow each other"),
                         "does not hold here")

    def test_affinity(self):
        def rows(learned):
            return [{**rate(block, "cpu", "", work, "affinity"), "cell": cell}
                    for block in BLOCKS for cell, work in (("learned", learned), ("neutral", 10))]
        self.assertEqual(verdict(verdicts.affinity(Results([], rows(11))), "3.2"), "holds")
        self.assertEqual(verdict(verdicts.affinity(Results([], rows(9))), "3.2"),
                         "does not hold here")

    def test_places(self):
        def before(position, place):
            return 8 if position < place else 5

        def after(position, place):
            return 8 if position > place else 5
        alone = [migration("table-1", block, "idle", 5.0, kind="idle") for block in BLOCKS]
        for rows, words in (
                (places("figure-4", "memory-dirty", before), ("holds", "holds", "holds", "holds")),
                (places("figure-4", "memory-dirty", after),
                 ("does not hold here", "does not hold here", "holds", "does not hold here")),
                # Later positions take longer by themselves: that is no influence of the place.
                (places("figure-4", "memory-dirty", lambda position, place: 9 - position),
                 ("does not hold here", "does not hold here", "holds", "does not hold here")),
                (places("figure-4", "memory-dirty", before, lambda *at: before(*at) / 10),
                 ("holds", "holds", "holds under the condition: data", "holds")),
                (places("figure-4", "memory-dirty", before, blocks=(1, 2)),
                 ("not measured",) * 4)):
            claims = list(verdicts.places(Results(alone + rows)))
            for where, word, want in zip(("Fig. 4 (a)", "Fig. 4 (a)", "Fig. 4 (b, c)",
                                          "3.3, memory-dirty"), ("before", "after a", "", ""),
                                         words, strict=True):
                self.assertRegex(verdict(claims, where, word), f"^{want}", where)
        rows = places("figure-5", "net-receive", after, before)
        rows += places("figure-6", "web-server", before, after)
        claims = list(verdicts.places(Results(rows)))
        for where, want in (("Fig. 5 (a)", "holds"), ("Fig. 5 (b)", "holds"),
                            ("3.3, net-receive", "holds"),
                            ("Fig. 6", "holds under the condition: time"),
                            ("3.3, web-server", "holds under the condition: time"),
                            ("3.3, memory-dirty", "not measured")):
            self.assertEqual(verdict(claims, where), want, where)

    def test_orders(self):
        results = Results(orders(informed=1, paper=0.9, random=1.1, reverse=0.95))
        found = {(c.order, c.what): c for c in verdicts.comparisons(results)}
        self.assertAlmostEqual(found["random", "total time"].ratios[0], 1 / 1.1)
        self.assertEqual(found["paper", "mean time"].better, 1 / 32)
        self.assertEqual(found["paper", "mean time"].worse, 1)
        self.assertEqual(found["random", "mean time"].better, 1)
        claims = list(verdicts.order_claims(results))
        self.assertEqual(verdict(claims, "3.3, 3.4"), "holds under the condition: "
                         "mean time against random, total time against random")
        self.assertEqual(verdict(claims, "libimig"),
                         "holds under the condition: random (not measured: largest-first)")
        text = sections.comparisons(results)
        self.assertIn("below 1/32, and with 9 comparisons no p by Holm is below 0.281", text)
        self.assertIn("would take 8 blocks", text)

    def test_a_run_that_is_not_whole_is_listed_and_not_compared(self):
        rows = orders(informed=1, paper=1.1)
        rows[0].update(state="failed", measured_s=None)
        del rows[-1]
        results = Results(rows)
        self.assertEqual({order: sorted(blocks) for order, blocks in results.orders().items()},
                         {"informed": [2, 3, 4, 5], "paper": [1, 2, 3, 4]})
        text = sections.not_done(results)
        for line in ("| orders | 1 | informed | 1 | failed |",
                     "| orders | 1 | informed | the run | not whole, not compared as a run |",
                     "| orders | 5 | paper | the run | not whole, not compared as a run |"):
            self.assertIn(line, text)
        self.assertEqual(text.count("| orders |"), 3)
        self.assertIn("| orders, qemu | 2 | 5 | 29 migrations | 1 |", sections.counts(results))

    def test_predictions(self):
        def rows(ratio, times=(10, 10, 10, 10, 10)):
            return [migration("table-1", block, "cpu", at, predicted_s=ratio * 10.0)
                    for block, at in zip(BLOCKS, times)]

        def of(there, amount=TIME):
            return verdicts.prediction(Results(there), amount, "all", there)
        good = of(rows(1.09))
        self.assertAlmostEqual(good.p90, 0.09)
        self.assertEqual((good.repeats, good.allowed, good.holds), (0, 0.10, True))
        self.assertFalse(of(rows(1.11)).holds)
        # What repeats itself badly may be predicted badly: F is that of 8 against 10.
        loose = of(rows(1.0, (8, 9, 10, 11, 12)))
        errors = [abs(x / m - 1) for x, m in ((8, 10.5), (9, 10.5), (10, 10), (11, 9.5), (12, 9.5))]
        self.assertAlmostEqual(loose.repeats, measures.p90(errors))
        self.assertAlmostEqual(loose.allowed, 1.5 * measures.p90(errors))
        self.assertTrue(loose.holds)
        self.assertIsNone(of(rows(1.0), DOWNTIME))
        failed = [{**row, "state": "failed"} for row in rows(9.0)]
        self.assertEqual(len(of(rows(1.0) + failed).ratios), 5)

    def test_repetitions_are_of_the_same_sequence(self):
        rows = [migration("orders", block, "random", 5.0, position, vm=vm)
                for block, sequence in enumerate(("abc", "abc", "acb"), 1)
                for position, vm in enumerate(sequence, 1)]
        self.assertEqual(sorted(map(len, Results(rows).same(TIME, rows))), [1, 1, 1, 2, 2, 2])


class Tables(unittest.TestCase):
    def test_what_is_written_is_read(self):
        with tempfile.TemporaryDirectory() as name:
            where = pathlib.Path(name)
            into = table.Table(where / "migrations.csv", table.MIGRATIONS)
            row = migration("table-1", 1, "cpu, 8 MB/s", 5.25)
            into.append(row)
            self.assertEqual(Results.read(where).migrations, [row])
            self.assertEqual(Results.read(where).rates, [])
            into.append(row)
            with self.assertRaisesRegex(ValueError, "measured twice"):
                Results.read(where)
            with self.assertRaisesRegex(ValueError, "no column cores"):
                read_table(into.path, (*table.MIGRATIONS, "cores"))

    def test_every_name_of_the_template_has_a_text(self):
        template = (HERE / "page.md").read_text(encoding="utf-8")
        rows = places("figure-4", "memory-dirty", lambda position, place: 5.0)
        text = report.page(Results(rows), template)
        self.assertIn("(figure-4.svg)", text)
        self.assertNotIn("(figure-5.svg)", text)
        self.assertIn("with its default constants", text)
        self.assertIn("constants.json", report.page(Results(rows, learned={"xen": 27}), template))
        for wrong in (template + "{surprise}", template.replace("{overview}", "")):
            with self.assertRaisesRegex(ValueError, "surprise|overview"):
                report.page(Results(rows), wrong)

    @staticmethod
    def some():
        rows = [{**row, "predicted_s": 5.0, "predicted_downtime_s": 0.3, "predicted_bytes": 1e8}
                for row in orders(informed=1, paper=1.1)]
        rows += places("figure-4", "memory-dirty", lambda position, place: 5.0)
        rows += Verdicts.grid(lambda m, d: m + d, lambda m, d: d)
        return Results(rows)

    def test_there_are_pictures_of_what_was_measured(self):
        self.assertEqual(sorted(plots.programs(self.some())),
                         ["figure-1", "figure-4", "orders", "predictions"])

    @unittest.skipUnless(shutil.which("gnuplot"), "no gnuplot")
    def test_pictures_are_drawn(self):
        with tempfile.TemporaryDirectory() as name:
            path = pathlib.Path(name, "picture.svg")
            for program in plots.programs(self.some()).values():
                plots.draw(program, path)
                words = " ".join(xml.etree.ElementTree.parse(path).getroot().itertext())
                self.assertIn("time", words)
            with self.assertRaisesRegex(RuntimeError, r"gnuplot: picture.svg:\s+gnuplot> nonsense"):
                plots.draw("nonsense\n", path)

    def test_the_page_is_what_the_tables_say(self):
        where = TOP / "doc/experiments"
        results = Results.read(where)
        if not results.migrations and not results.rates:
            self.skipTest("no tables in doc/experiments")
        template = (HERE / "page.md").read_text(encoding="utf-8")
        self.assertEqual((where / "README.md").read_text(encoding="utf-8"),
                         report.page(results, template))


if __name__ == "__main__":
    unittest.main()
