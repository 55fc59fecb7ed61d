#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The imig command as its users see it: what it prints, writes, and ends with.

usage: test-cli.py IMIG TOP FAULTY
FAULTY is the same command, and knows hosts that fail: see faulty-context.c.
Prints TAP.  Needs nothing but the standard library.
"""

import csv
import io
import json
import os
import pathlib
import pty
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import unittest

IMIG = TOP = DEMO = FAULTY = None


def imig(*args, text=None, data=None, cwd=None, env=None):
    """Runs the command; text or data goes to its standard input, which is no terminal."""
    if text is not None:
        data = text.encode()
    return subprocess.run([IMIG, *map(str, args)], input=data if data is not None else b"",
                          capture_output=True, cwd=cwd, env=env, timeout=100, check=False)


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.dir = pathlib.Path(folder.name)
        self.sim = f"sim:{DEMO}"

    def ok(self, *args, status=0, **more):
        done = imig(*args, **more)
        self.assertEqual(done.returncode, status, done.stderr.decode())
        return done.stdout.decode()

    def refused(self, *args, status=2, names="", **more):
        """One clear line that names what is wrong; nothing on standard output, no file left."""
        before = sorted(os.listdir(self.dir))
        done = imig(*args, **more)
        lines = done.stderr.decode().splitlines()
        self.assertEqual(done.returncode, status, done.stderr.decode())
        self.assertEqual(done.stdout, b"")
        self.assertEqual(len(lines), 1, lines)
        self.assertTrue(lines[0].startswith("imig: "), lines)
        self.assertIn(names, lines[0])
        self.assertEqual(sorted(os.listdir(self.dir)), before)

    def on_terminal(self, *args, answer=b""):
        """Its exit status, and what a user sees of it."""
        master, slave = pty.openpty()
        with subprocess.Popen([IMIG, *map(str, args)], stdin=slave, stdout=slave, stderr=slave,
                              env={**os.environ, "TERM": "xterm"}) as child:
            os.close(slave)
            seen = b""
            os.write(master, answer)
            try:
                while piece := os.read(master, 65536):
                    seen += piece
            except OSError:  # how a terminal says that the other side has gone
                pass
        os.close(master)
        return child.returncode, seen

    def begin(self, *args, **more):
        """A process that catches signals by now, and ends with the test."""
        child = subprocess.Popen([IMIG, *map(str, args)], stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, **more)
        self.addCleanup(child.stdout.close)
        self.addCleanup(child.stderr.close)
        self.addCleanup(child.kill)
        status = pathlib.Path(f"/proc/{child.pid}/status")
        while child.poll() is None:
            caught = re.search(r"SigCgt:\s*(\w+)", status.read_text())
            if int(caught[1], 16) >> (signal.SIGINT - 1) & 1:
                break
            time.sleep(0.01)
        return child

    def write(self, name, content):
        path = self.dir / name
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path


class Usage(Case):
    commands = ("observe", "status", "plan", "run", "balance", "simulate", "migrate", "predict",
                "dirty", "watch", "agent", "history", "calibrate", "affinity", "check")

    def test_help_lists_every_command(self):
        text = self.ok("--help")
        for command in self.commands:
            self.assertIn(f"  {command} ", text)
        self.assertRegex(self.ok("--version"), r"^imig \d+\.\d+\.\d+\n$")

    def test_help_of_a_command(self):
        self.assertEqual(self.ok("help", "plan"), self.ok("plan", "--help"))
        self.assertEqual(self.ok("help"), self.ok("--help"))
        self.refused("help", "mend", names='"mend"')

    def test_every_command_has_help_for_every_option(self):
        for command in self.commands:
            text = self.ok(command, "--help")
            self.assertIn(f"imig {command}", text)
            for line in text.splitlines():
                if line.lstrip().startswith("-"):
                    self.assertRegex(line.strip(), r"\S+.*  +\S", f"{command}: {line}")

    def test_goals_and_policies_in_help_are_the_librarys(self):
        text = self.ok("plan", "--help")
        for name in ("balance", "relieve", "drain", "level", "consolidate",
                     "informed", "paper", "least-loaded", "smallest-first", "largest-first",
                     "random", "as-given"):
            self.assertIn(name, text)

    def test_man_page_names_every_option(self):
        page = (TOP / "doc/imig.1.scd").read_text()
        for command in ("plan", "balance", "simulate", "observe", "run", "migrate",
                        "watch", "history", "calibrate", "affinity", "check"):
            for line in self.ok(command, "--help").splitlines():
                word = line.strip().split(", ")[-1].split("=")[0].split(" ")[0]
                if word.startswith("--"):
                    self.assertIn(f"*{word}*", page, command)

    def test_wrong_usage(self):
        for args, names in (
                ((), "no command"),
                (("mend",), '"mend"'),
                (("plan", "--nonsense", DEMO), "nonsense"),
                (("plan",), "neither"),
                (("plan", DEMO, "-c", self.sim), "both"),
                (("balance", DEMO), "-c is missing"),
                (("status", "-c", DEMO), f"-c {self.sim}"),
                (("status", "-c", "node1"), "-c qemu+ssh://root@node1/system"),
                (("status", "-c", "me@node1"), "-c qemu+ssh://me@node1/system"),
                (("plan", DEMO, "--threshold", "80"), "0.8"),
                (("plan", DEMO, "--spare-hosts", "9"), "spare"),
                (("migrate", "-c", self.sim, "milc-a", "node1"), "milc-a is on node1 already"),
                (("status", DEMO, "-c", self.sim), "both"),
                (("status", DEMO, DEMO), "usage"),
                (("status", DEMO, "--host-capacity", DEMO), "--host-capacity goes with -c"),
                (("status", "-c", self.sim, "--host-capacity", self.dir / "no.json"), "no.json"),
                (("status", "-c", self.sim, "--host-capacity", DEMO), "format"),
                (("plan", self.dir / "none.json"), "none.json"),
                (("plan", DEMO, "--goal", "win"), '"win"; there are balance'),
                (("plan", DEMO, "--policy", "clever"), '"clever"'),
                (("plan", DEMO, "--order-by", "colour"), '"colour"'),
                (("plan", DEMO, "--order-policy", "none"), '"none"'),
                (("plan", DEMO, "--drain", "node99"), '"node99"'),
                (("plan", DEMO, "--goal", "balance", "--drain", "node1"), "drain"),
                (("plan", DEMO, "--threshold", "nan"), '"nan"'),
                (("plan", DEMO, "--goal", "level", "--tolerance", "10.5"), "0.1"),
                (("plan", DEMO, "--goal", "level", "--tolerance", "-0.1"), "tolerance"),
                (("plan", DEMO, "--goal", "level", "--tolerance", "ten"), '"ten"'),
                (("plan", DEMO, "--goal", "consolidate", "--spare-hosts", "5"), "spare"),
                (("plan", DEMO, "--goal", "consolidate", "node1"), "drain"),
                (("balance", "-c", "test:///none", "--goal", "drain", "--yes"),
                 "needs --drain HOST"),
                (("plan", DEMO, "--tolerance", "0.2"), "--tolerance needs --goal level"),
                (("balance", "-c", "test:///none", "--goal", "relieve", "--tolerance", "0.2",
                  "--yes"), "--tolerance needs --goal level"),
                (("balance", "-c", "test:///none", "--goal", "win", "--yes"), "no goal"),
                (("plan", DEMO, "--policy", "paper", "--gain-ratio", "2"),
                 "--gain-ratio needs policy informed"),
                (("plan", DEMO, "--policy", "random", "--noise-ratio", "2"), "--noise-ratio needs"),
                (("plan", DEMO, "--policy", "paper", "--order-by", "time"), "--order-by needs"),
                (("plan", DEMO, "--order-policy", "random", "--order-by", "time"),
                 "--order-by needs the sequence of policy informed, not of random"),
                (("watch", "-c", self.sim, "--goal", "level", "--dead-band", "0.2"),
                 "--dead-band does not go with goal level"),
                (("plan", DEMO, "--threshold", "-1"), "threshold"),
                (("plan", DEMO, "--bandwidth", "1parsec"), '"1parsec"'),
                (("plan", DEMO, "--bandwidth", "0"), '"0"'),
                (("plan", DEMO, "--max-moves", "-3"), '"-3"'),
                (("plan", DEMO, "--concurrency", "0"), "--concurrency"),
                (("plan", DEMO, "--affinity", self.dir / "none.csv"), "none.csv"),
                (("observe",), "-c"),
                (("observe", "-c", "sim:/none.json"), "/none.json"),
                (("observe", "-c", self.sim, "--for", "0s"), '"0s"'),
                (("observe", "-c", self.sim, "--for", "1s", "--interval", "2s"), "--interval"),
                (("observe", "-c", f"{self.sim}?colour=red"), "colour"),
                (("run", DEMO, "-c", self.sim, "--yes"), "format"),
                (("simulate", DEMO, DEMO), "format"),
                (("simulate", DEMO, DEMO, "--compare"), "--compare"),
                (("migrate", "-c", self.sim, "nobody", "node2"), '"nobody"'),
                (("migrate", "-c", self.sim, "milc-a", "nowhere"), '"nowhere"'),
                (("migrate", "-c", self.sim, "milc-a", "node5", "--on-stall", "pray"),
                 '"pray"; there are abort'),
                (("balance", "-c", self.sim, "--max-downtime", "2s"),
                 "--on-stall raise-downtime"),
                (("run", DEMO, "-c", self.sim, "--on-stall", "raise-downtime", "--max-downtime",
                  "1s", "--downtime-limit", "2s"), "--max-downtime is below"),
                (("run", DEMO, "-c", self.sim, "--retries", "-1"), "--retries"),
                (("watch",), "-c"),
                (("watch", "-c", self.sim, "--rounds", "0"), "--rounds"),
                (("watch", "-c", self.sim, "--dead-band", "-1"), "--dead-band"),
                (("watch", "-c", self.sim, "--goal", "win"), '"win"'),
                (("dirty", "-c", self.sim, "nobody"), '"nobody"'),
                (("predict", "--memory", "4GiB"), "--bandwidth"),
                (("predict", "--memory", "4GiB", "--bandwidth", "1Gbit/s", "--hypervisor", "x"),
                 '"x"; there are qemu, xen'),
                (("predict", "--memory", "4GiB", "--bandwidth", "1Gbit/s", "--writes", "x"),
                 '"x"'),
                (("history", "--class", "x"), 'no --class "x"; there are idle, cpu, disk-io'),
                (("predict", "--memory", "4GiB", "--bandwidth", "1Gbit/s", "--class", "x"),
                 '"x"; there are idle, cpu, disk-io')):
            with self.subTest(args=args):
                self.refused(*args, names=names)


class Pipe(Case):
    """What the module for Xen puts before a transport; no user calls it."""

    def test_all_passes_unchanged(self):
        sent = bytes(range(256)) * 1000
        done = imig("pipe", "--rate", "100MB/s", data=sent)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, sent, b""))
        self.assertNotIn("pipe", self.ok("--help"))
        self.refused("pipe", names="--rate")
        self.refused("pipe", "--rate", "0", names="rate")

    def test_it_ends_when_nobody_reads_though_more_may_come(self):
        with subprocess.Popen([IMIG, "pipe", "--rate", "1MB/s"], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE) as pipe:
            pipe.stdout.close()
            self.assertEqual(pipe.wait(timeout=60), 1)
            self.assertEqual(pipe.stderr.read(), b"")


class Agents(Case):
    def test_a_process_of_its_own_shows_the_same(self):
        self.assertEqual(self.ok("status", "-c", f"agent:{self.sim}"),
                         self.ok("status", "-c", self.sim))
        self.assertEqual(self.ok("balance", "-c", f"agent:agent:{self.sim}", "--yes"),
                         self.ok("balance", "-c", self.sim, "--yes"))

    def test_another_machine_is_reached_by_the_transport(self):
        there = self.write("there", "#!/bin/sh\n"
                           f'echo "$@" >{self.dir}/words\nexec {IMIG} agent {self.sim}\n')
        there.chmod(0o755)
        text = self.ok("status", "-c", "xenctl+ssh://root@node1:22", "--transport",
                       f"{there} -x 'a  b' %h")
        self.assertEqual(text, self.ok("status", "-c", self.sim))
        self.assertEqual((self.dir / "words").read_text(),
                         "-x a  b ssh://root@node1:22 imig agent xenctl:\n")

    def test_what_goes_wrong_is_one_line(self):
        for args, status, names in (
                (("-c", "agent:sim:/none.json"), 2, "agent:sim:/none.json: Failed to open"),
                (("-c", "agent:"), 2, "no URI follows agent:"),
                (("-c", "xenctl+ssh://-x"), 2, "[USER@]HOST[:PORT]"),
                (("-c", "xenctl+ssh://h", "--transport", "ssh h"), 2, "no word has %h"),
                (("-c", "xenctl+ssh://h", "--transport", "ssh 'h"), 2, "--transport: "),
                (("-c", "xenctl+ssh://h", "--transport", ""), 2, "--transport: "),
                (("-c", "xenctl+ssh://h", "--transport", "/none/ssh %h"), 1, "cannot be started"),
                (("-c", "xenctl+ssh://h", "--transport", "sh -c 'exit 255' %h"), 1,
                 "xenctl+ssh://h: open: the agent is gone: it ended with status 255"),
                (("-c", "xenctl+ssh://h", "--transport", "echo hello %h"), 1,
                 'in "hello h imig agent xenctl:"')):
            with self.subTest(args=args):
                self.refused("status", *args, status=status, names=names)

    def test_standard_output_is_for_replies_alone(self):
        requests = '{"id": 1, "op": "clock"}\n{"id": 2, "op": "sample"}\nnonsense\n'
        lines = self.ok("agent", self.sim, text=requests).splitlines()
        self.assertEqual(len(lines), 4)
        greeting, clock, sample, error = map(json.loads, lines)
        self.assertEqual((greeting["format"], greeting["clock"]), ("imig-agent/1", "virtual"))
        self.assertEqual((clock["id"], clock["ok"]), (1, {}))
        self.assertEqual(len(sample["vms"]), len(sample["counters"]))
        self.assertEqual(error["error"]["code"], "syntax")

    def test_an_agent_ends_with_its_input_and_on_a_signal(self):
        for end in ("input", "signal"):
            process = subprocess.Popen([IMIG, "agent", self.sim], stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            self.assertIn(b"imig-agent/1", process.stdout.readline())
            if end == "signal":
                process.send_signal(signal.SIGTERM)
                self.assertEqual(process.wait(20), 130)
            process.stdin.close()
            self.assertEqual(process.wait(20), 0 if end == "input" else 130)
            rest = process.stdout.read()
            self.assertEqual(b"cancelled" in rest, end == "signal")
            self.assertEqual(process.stderr.read(), b"")
            process.stdout.close()
            process.stderr.close()


class Broken(Case):
    def test_every_broken_document_is_refused(self):
        """tests/data/broken: the line that the library's tests want, exit status 2, no file."""
        table = TOP / "tests/data/broken/expected.tsv"
        rows = [row for row in csv.reader(table.open(), delimiter="\t", quoting=csv.QUOTE_NONE)
                if row and not row[0].startswith("#")]
        self.assertGreaterEqual(len(rows), 40)
        out = self.dir / "out"
        for name, _, message in rows:
            path = table.parent / name
            args = {"plan": ("simulate", DEMO, path),
                    "affinity": ("plan", DEMO, "--affinity", path, "-o", out),
                    "constants": ("plan", DEMO, "--constants", path, "-o", out),
                    "capacity": ("plan", "-c", self.sim, "--host-capacity", path, "-o", out),
                    "cluster": ("plan", path, "-o", out)}[name.split("-")[0]]
            with self.subTest(file=name):
                self.refused(*args, names=message)

    def test_a_cut_document_at_every_length(self):
        text = DEMO.read_bytes()
        for length in range(0, len(text) - 2, 197):
            with self.subTest(length=length):
                self.refused("plan", "-", "-o", self.dir / "out", data=text[:length])

    def test_long_lines_and_deep_nesting(self):
        self.refused("status", "-", data=b" " * 100_000_000)
        self.refused("status", "-", data=b"[" * 1_000_000)
        self.refused("status", "-", data=b'{"format": "' + b"x" * 100_000_000)


class Status(Case):
    def test_classes_are_what_the_demo_is_made_of(self):
        vms = {vm["id"]: vm for vm in json.loads(self.ok("status", DEMO, "--json"))["vms"]}
        for name, want in (("oltp-a", "memory-dirty"), ("jbb-a", "memory-dirty"),
                           ("web-a", "web-server"), ("stream", "net-receive"),
                           ("iozone-a", "disk-io"), ("iozone-b", "disk-io"), ("milc-a", "cpu"),
                           ("bzip2-a", "cpu"), ("idle-a", "idle")):
            self.assertEqual(vms[name]["class"], want, name)
        self.assertEqual(vms["licence"]["blocked"], "pinned")
        self.assertEqual(vms["ledger"]["blocked"], "backup-job")

    def test_tables(self):
        text = self.ok("status", DEMO)
        self.assertIn("node1", text)
        self.assertIn("139 %", text)
        self.assertIn("backup-job", text)
        self.assertNotIn("\033", text)
        self.assertNotIn("oltp-a", self.ok("status", DEMO, "--hosts"))
        self.assertNotIn("maintenance", self.ok("status", DEMO, "--vms"))
        self.assertEqual(text, self.ok("status", "-", data=DEMO.read_bytes()))

    def test_figures_add_up(self):
        hosts = json.loads(self.ok("status", DEMO, "--json", "--hosts"))
        self.assertNotIn("vms", hosts)
        first = hosts["hosts"][0]
        self.assertAlmostEqual(first["cpu_utilisation"], 22.3 / 16)
        self.assertAlmostEqual(first["memory_utilisation"], 30 / 31)
        self.assertEqual(first["vms"], 8)

    def test_watching_simulated_hosts(self):
        vms = json.loads(self.ok("status", "-c", self.sim, "--json"))["vms"]
        self.assertEqual({vm["id"]: vm["class"] for vm in vms}["oltp-a"], "memory-dirty")


class Observe(Case):
    def test_a_terminal_shows_how_long_it_takes(self):
        slow = ("-c", f"{self.sim}?pace=10", "--for", "8s")
        status, seen = self.on_terminal("status", *slow)
        self.assertEqual(status, 0, seen)
        self.assertRegex(seen, rb"^watching, [78] s to go\r\033\[K")
        for quiet in (("status", *slow, "--json"),
                      ("observe", *slow, "--quiet", "-o", self.dir / "seen.json")):
            status, seen = self.on_terminal(*quiet)
            self.assertEqual(status, 0, seen)
            self.assertNotIn(b"watching", seen)
        self.assertEqual(imig("status", *slow).stderr, b"")

    def test_writes_a_document_that_status_reads(self):
        out = self.dir / "seen.json"
        self.assertIn("25 VMs", self.ok("observe", "-c", self.sim, "-o", out))
        self.assertIn("iozone-a", self.ok("status", out))
        self.assertEqual(self.ok("observe", "-c", self.sim, "-o", out, "--quiet"), "")
        self.assertEqual(self.ok("observe", "-c", self.sim), out.read_text())
        self.assertEqual([p.name for p in self.dir.iterdir()], ["seen.json"])

    def test_interrupted_cleanly(self):
        with subprocess.Popen([IMIG, "observe", "-c", f"{self.sim}?pace=1", "--for", "600s", "-o",
                               str(self.dir / "seen.json")], stderr=subprocess.PIPE) as child:
            time.sleep(0.5)
            child.send_signal(signal.SIGINT)
            err = child.communicate(timeout=20)[1].decode()
        self.assertEqual(child.returncode, 130, err)
        self.assertEqual(len(err.splitlines()), 1)
        self.assertEqual(list(self.dir.iterdir()), [])

    def test_an_old_file_survives_a_failure(self):
        out = self.write("seen.json", "old")
        self.refused("observe", "-c", "sim:/none.json", "-o", out)
        self.assertEqual(out.read_text(), "old")
        self.refused("observe", "-c", self.sim, "-o", self.dir / "no" / "out.json", status=1,
                     names="no/out.json: ")


class Plan(Case):
    def test_same_bytes_twice(self):
        for args in (("--json",), ("--explain",), ("--policy", "random", "--seed", "7", "--json")):
            self.assertEqual(self.ok("plan", DEMO, *args), self.ok("plan", DEMO, *args))

    def test_same_bytes_whatever_memory_held_before(self):
        for goal in ("balance", "relieve", "drain", "level", "consolidate"):
            for policy in ("informed", "paper", "least-loaded", "random"):
                more = ("--drain", "node1") if goal == "drain" else ()
                ends = []
                for byte in ("0", "1", "170"):
                    done = imig("plan", DEMO, "--json", "--goal", goal, "--policy", policy, *more,
                                env={**os.environ, "MALLOC_PERTURB_": byte})
                    ends.append((done.returncode, done.stdout, done.stderr))
                self.assertIn(ends[0][0], (0, 3), ends[0])  # 3: the goal cannot be reached whole
                self.assertEqual(json.loads(ends[0][1])["goal"], goal)
                self.assertEqual(ends[1:], ends[:1] * 2, f"{goal}, {policy}")

    def test_overload_is_relieved_and_explained(self):
        plan = json.loads(self.ok("plan", DEMO, "--json"))
        self.assertEqual(plan["format"], "imig-plan/1")
        self.assertGreater(len(plan["steps"]), 0)
        self.assertEqual(plan["before"]["overloaded_hosts"], 1)
        self.assertEqual(plan["after"]["overloaded_hosts"], 0)
        self.assertLess(plan["after"]["loss"] + plan["migration_loss"], plan["before"]["loss"])
        for step in plan["steps"]:
            self.assertTrue(step["reason"]["text"])
            self.assertNotIn(step["vm"], ("ledger", "licence"))
        text = self.ok("plan", DEMO)
        for step in plan["steps"]:
            self.assertIn(step["reason"]["text"], text)

    def test_explain_gives_every_vm_a_reason(self):
        plan = json.loads(self.ok("plan", DEMO, "--json", "--explain"))
        moved = {step["vm"] for step in plan["steps"]}
        kept = {kept["vm"]: kept["reason"]["code"] for kept in plan["kept"]}
        self.assertEqual(len(moved | set(kept)), 25)
        self.assertEqual(moved & set(kept), set())
        self.assertIn("licence", self.ok("plan", DEMO, "--explain"))

    def test_what_is_worth_more_than_asked_for_stays_for_another_reason(self):
        for goal, code in (("balance", "budget"), ("relieve", "host-not-overloaded")):
            plan = json.loads(self.ok("plan", DEMO, "--goal", goal, "--max-moves", "3", "--json",
                                      "--explain"))
            kept = {kept["vm"]: kept["reason"] for kept in plan["kept"]}
            self.assertEqual(kept["web-a"]["code"], code)
            for reason in kept.values():
                seen = re.search(r"save (\S+) lost cores; (\S+) is asked for", reason["text"])
                self.assertTrue(not seen or float(seen[1]) <= float(seen[2]), reason)

    def test_standard_input_and_output(self):
        text = self.ok("plan", "-", "--json", data=DEMO.read_bytes())
        out = self.dir / "plan.json"
        self.assertEqual(text, self.ok("plan", DEMO, "-o", "-"))
        self.assertIn("Goal", self.ok("plan", DEMO, "-o", out))
        self.assertEqual(text, out.read_text())
        self.assertEqual(self.ok("plan", DEMO, "-o", out, "--json"), "")

    def test_nothing_worth_doing(self):
        cluster = json.loads(DEMO.read_text())
        cluster["vms"] = [vm for vm in cluster["vms"] if vm["host"] == "node5"]
        cluster["flows"], cluster["rules"] = [], []
        text = self.ok("plan", self.write("calm.json", cluster))
        self.assertTrue(text.startswith("Nothing worth doing"), text)
        self.assertEqual(len(text.splitlines()), 1)

    def test_more_demand_than_cores_is_said(self):
        said = "of all cores: no placement can cure this."
        cluster = json.loads(DEMO.read_text())
        for host in cluster["hosts"]:
            host["cpu_cores"] /= 4
        for options in ((), ("--goal", "relieve"), ("--max-moves", "0")):
            done = imig("plan", self.write("small.json", cluster), *options)
            self.assertEqual(done.stdout.decode().count(said), 1, options)
        self.assertNotIn(said, self.ok("plan", DEMO))

    def test_drain(self):
        for args in (("--drain", "node4"), ("--goal", "drain", "node4"), ("node4",)):
            plan = json.loads(self.ok("plan", DEMO, "--json", *args))
            self.assertEqual(plan["goal"], "drain")
            self.assertLessEqual({"stream", "games-b", "oltp-b", "idle-c"},
                                 {s["vm"] for s in plan["steps"] if s["from"] == "node4"})

    def test_drain_of_several_hosts(self):
        cluster = json.loads(DEMO.read_text())
        cluster["hosts"][1]["state"] = "maintenance"
        for host in cluster["hosts"]:
            host["memory_bytes"] *= 2
        path = self.write("maintenance.json", cluster)
        plan = json.loads(self.ok("plan", path, "node4", "node5", "--json", "--threshold", "3"))
        gone = {"node2", "node4", "node5"}
        where = {vm["id"]: vm["host"] for vm in cluster["vms"]}
        where.update({step["vm"]: step["to"] for step in plan["steps"]})
        self.assertEqual({vm for vm, host in where.items() if host in gone}, set())
        self.refused("plan", path, "node4", "node99")

    def test_level(self):
        text = self.ok("plan", DEMO, "--goal", "level")
        self.assertRegex(text, r"No host is above 1\.0\d+ x the mean of its pool in CPU, nor above")
        self.assertRegex(text, r"of memory move; no plan that gets as far moves less than \d")
        plan = json.loads(self.ok("plan", DEMO, "--goal", "level", "--tolerance", "0.2", "--json"))
        memory = {vm["id"]: vm["memory_bytes"] for vm in json.loads(DEMO.read_text())["vms"]}
        figures = plan["x-figures"]
        self.assertEqual(plan["options"]["tolerance"], 0.2)
        self.assertEqual(figures["moved_bytes"], sum(memory[s["vm"]] for s in plan["steps"]))
        self.assertLessEqual(figures["moved_bytes_bound"], figures["moved_bytes"])
        self.assertLessEqual(max(figures["cpu_to_mean"], figures["memory_to_mean"]), 1.2)
        done = imig("plan", DEMO, "--goal", "level", "--tolerance", "0")
        self.assertEqual(done.returncode, 3)
        self.assertIn("cannot be reached whole:", done.stdout.decode())
        self.assertRegex(done.stdout.decode(),
                         r"above its limits  because\nnode1  .*CPU [\d.]+ % of at most [\d.]+ %.*; "
                         r"nothing better was found\n")

    def test_consolidate(self):
        text = self.ok("plan", DEMO, "--goal", "consolidate")
        self.assertIn("Without VMs, and can be switched off: node4, node5.", text)
        plan = json.loads(self.ok("plan", DEMO, "--goal", "consolidate", "--json"))
        self.assertEqual(plan["x-figures"]["empty_hosts"], ["node4", "node5"])
        self.assertEqual(plan["x-figures"]["hosts_in_use"], 3)
        self.assertEqual(plan["x-figures"]["hosts_in_use_bound"], 3)
        self.assertLessEqual(plan["after"]["cpu_max"], 0.8 + 1e-9)
        spare = json.loads(self.ok("plan", DEMO, "--goal", "consolidate", "--spare-hosts", "1",
                                   "--json"))
        self.assertEqual(spare["x-figures"]["hosts_in_use"], 4)

    def test_a_goal_that_cannot_be_reached_whole(self):
        done = imig("plan", DEMO, "--drain", "node3")
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertIn("cannot be reached whole", done.stdout.decode())
        self.assertIn("licence", done.stdout.decode())
        done = imig("plan", DEMO, "--spare-hosts", "4")
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertIn("too much for --spare-hosts 4", done.stdout.decode())

    def test_limits(self):
        plan = json.loads(self.ok("plan", DEMO, "--json", "--max-moves", "1"))
        self.assertLessEqual(len(plan["steps"]), 1)
        text = self.ok("plan", DEMO, "--max-moves", "0")
        self.assertTrue(text.startswith("Nothing to do within --max-moves 0: "), text)
        self.assertIn(" 1 host overloaded", text)
        self.assertNotIn("is met", text)

    def test_time_limit(self):
        best = self.ok("plan", DEMO, "--json")
        self.assertEqual(self.ok("plan", DEMO, "--json", "--time-limit", "1h"), best)
        done = imig("plan", DEMO, "--json", "--time-limit", "1us")
        self.assertEqual(done.returncode, 0, done.stderr)
        loss = {key: plan["after"]["loss"] + plan["migration_loss"]
                for key, plan in (("best", json.loads(best)), ("soon", json.loads(done.stdout)))}
        self.assertLessEqual(loss["best"], loss["soon"])
        self.assertLessEqual(loss["soon"], json.loads(best)["before"]["loss"])
        self.refused("plan", DEMO, "--time-limit", "0", names="--time-limit")

    def test_affinity_table(self):
        self.ok("plan", DEMO, "--affinity", "-", "--json", text="w,a,b\na,2,3\nb,4,2\n")
        self.refused("plan", DEMO, "--affinity", "-", text="w,a,b\na,2\n")

    def test_without_a_host_that_is_active(self):
        for hosts in ([], [{"id": "h", "cpu_cores": 1, "memory_bytes": 1, "state": "offline"}]):
            self.assertEqual(
                self.ok("plan", "-", text=json.dumps({"format": "imig-cluster/1", "hosts": hosts,
                                                      "vms": []})),
                "Nothing to do: no host is active.\n")
        self.refused("plan", "-", text="{", names="standard input: line 1 column ")

    def test_full_disk(self):
        done = subprocess.run([IMIG, "plan", str(DEMO), "--json"], stdout=open("/dev/full", "wb"),
                              stderr=subprocess.PIPE, timeout=60, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"standard output", done.stderr)


class Check(Case):
    def plan(self, *steps):
        return self.write("plan.json", {
            "format": "imig-plan/1", "goal": "balance", "policy": "informed",
            "steps": [{"vm": vm, "from": source, "to": to} for vm, source, to in steps]})

    def test_a_plan_by_hand(self):
        plan = self.plan(("milc-a", "node1", "node5"), ("games-a", "node1", "node5"))
        text = self.ok("check", plan, DEMO)
        self.assertRegex(text, r"\n +1  milc-a +node1  node5 +0\.0 s +[\d.]+ s +\d+ ms  2\.5 GiB\n")
        self.assertRegex(text, r"\nlost cores +55\.64  23\.29\n")
        self.assertRegex(text, r"\n2 of 2 steps can be carried out, [\d.]+ s if one by one\.\n$")
        document = json.loads(self.ok("check", plan, DEMO, "--json"))
        first, second = document["steps"]
        self.assertTrue(document["feasible"])
        self.assertEqual(second["start_s"], first["duration_s"])
        self.assertAlmostEqual(document["makespan_s"], second["start_s"] + second["duration_s"])
        self.assertGreater(document["before"]["loss"], document["after"]["loss"])
        slow = json.loads(self.ok("check", plan, DEMO, "--json", "--bandwidth", "10MB/s"))
        self.assertGreater(slow["steps"][0]["duration_s"], 2 * first["duration_s"])
        self.assertIn("2 of 2 steps", self.ok("check", plan, "-c", self.sim))
        self.assertIn("0 of 0 steps", self.ok("check", self.plan(), DEMO))

    def test_every_step_has_its_own_fault(self):
        plan = self.plan(("milc-a", "node1", "node5"), ("nobody", "node1", "node5"),
                         ("oltp-b", "node4", "node1"), ("oltp-b", "node1", "node2"),
                         ("licence", "node3", "node5"), ("games-a", "node1", "node5"))
        text = self.ok("check", plan, DEMO, status=3)
        for fault in ('vm: "nobody": no such VM', 'to: "node1": no memory for the VM then',
                      'from: "node1": the VM is on "node4"', 'vm: "licence": it is pinned'):
            self.assertIn(f"-  {fault}\n", text)
        self.assertIn("2 of 6 steps can be carried out", text)
        document = json.loads(self.ok("check", plan, DEMO, "--json", status=3))
        self.assertFalse(document["feasible"])
        self.assertEqual(["fault" in step for step in document["steps"]],
                         [False, True, True, True, True, False])
        alone = json.loads(self.ok("check", self.plan(("milc-a", "node1", "node5"),
                                                      ("games-a", "node1", "node5")),
                                   DEMO, "--json"))
        self.assertEqual(document["after"], alone["after"])

    def test_it_agrees_with_the_planner(self):
        plan = self.dir / "made.json"
        self.ok("plan", DEMO, "-o", plan, "--quiet")
        document = json.loads(self.ok("check", plan, DEMO, "--json"))
        made = json.loads(plan.read_text())
        for key in ("loss", "cpu_max", "memory_max", "overloaded_hosts"):
            self.assertAlmostEqual(document["after"][key], made["after"][key], 9)

    def test_broken_arguments(self):
        plan = self.plan()
        self.refused("check", names="usage")
        self.refused("check", plan, names="neither a file nor -c")
        self.refused("check", DEMO, DEMO, names="format")
        self.refused("check", plan, self.dir / "none.json", names="none.json")


class Run(Case):
    def plan(self, *args):
        out = self.dir / "plan.json"
        self.ok("plan", DEMO, "-o", out, "--quiet", *args)
        return out

    def test_predicted_beside_measured(self):
        plan = self.plan()
        text = self.ok("run", plan, "-c", self.sim, "--yes")
        steps = json.loads(plan.read_text())["steps"]
        for step in steps:
            self.assertRegex(text, rf"{step['vm']} runs on {step['to']} after")
        self.assertRegex(text, rf"all that are done +{len(steps)} ")
        run = json.loads(self.ok("run", plan, "-c", self.sim, "--yes", "--json"))
        self.assertEqual(run["done"], len(steps))
        for step in run["steps"]:
            self.assertGreater(step["duration_s"]["measured"], 0)
            self.assertGreater(step["transferred_bytes"]["measured"], 0)
        self.assertAlmostEqual(run["duration_s"]["measured"],
                               sum(s["duration_s"]["measured"] for s in run["steps"]))

    def test_a_plan_by_hand_has_time(self):
        plan = self.write("plan.json", {
            "format": "imig-plan/1", "goal": "balance", "policy": "informed",
            "steps": [{"vm": "milc-a", "from": "node1", "to": "node5"}]})
        run = json.loads(self.ok("run", plan, "-c", self.sim, "--yes", "--json", "--bandwidth",
                                 "20MB/s"))
        self.assertGreater(run["steps"][0]["duration_s"]["measured"], 60)

    def test_asks_only_on_a_terminal(self):
        plan = self.plan()
        for uri in (self.sim, "sim:/none.json"):  # refused before anything is opened
            self.refused("run", plan, "-c", uri, names="--yes")

    def test_a_plan_that_no_longer_holds(self):
        plan = json.loads(self.plan().read_text())
        step = plan["steps"][0]
        step["from"] = next(host for host in ("node3", "node4", "node5")
                            if host not in (step["from"], step["to"]))
        self.refused("run", self.write("stale.json", plan), "-c", self.sim, "--yes", status=1,
                     names=f"no longer holds: step 1 takes {step['vm']} from {step['from']}")

    def test_a_plan_that_was_carried_out_already(self):
        """What is told apart has names; the ids are for programs."""
        cluster = json.loads(DEMO.read_text())
        plan = json.loads(self.plan("--max-moves", "1").read_text())
        step = plan["steps"][0]
        for vm in cluster["vms"]:
            if vm["id"] == step["vm"]:
                vm.update(host=step["to"], name="the-moved")
        done = self.write("done.json", cluster)
        self.refused("run", self.write("stale.json", plan), "-c", f"sim:{done}", "--yes", status=1,
                     names=f"takes the-moved from {step['from']} to {step['to']}, but it is on "
                           f"{step['to']}; was it carried out already?")
        for vm in cluster["vms"]:
            if vm["id"] == step["vm"]:
                vm.update(host=step["from"], movable=False)
        pinned = self.write("pinned.json", cluster)
        self.refused("run", self.write("stale.json", plan), "-c", f"sim:{pinned}", "--yes",
                     status=1, names="no longer holds: the-moved: steps[0].vm")

    def test_a_failed_step_gives_partial(self):
        plan = self.plan()
        vm = json.loads(plan.read_text())["steps"][0]["vm"]
        run = json.loads(self.ok("run", plan, "-c", f"{self.sim}?fail={vm}:9", "--yes", "--json",
                                 status=3))
        self.assertEqual(run["failed"], 1)
        self.assertEqual(run["steps"][0]["attempts"], 2)
        self.assertIsNone(run["steps"][0]["duration_s"]["measured"])
        self.assertTrue(run["steps"][0]["message"])
        run = json.loads(self.ok("run", plan, "-c", f"{self.sim}?fail={vm}", "--yes", "--json"))
        self.assertEqual(run["steps"][0]["attempts"], 2)

    def test_a_plan_without_steps(self):
        plan = self.plan("--max-moves", "0")
        self.assertIn("nothing to do", self.ok("run", plan, "-c", self.sim))

    def interrupt(self, signals):
        """Runs a plan in a simulator at the pace of a clock, and interrupts it once it migrates."""
        with subprocess.Popen([IMIG, "run", str(self.plan()), "-c", f"{self.sim}?pace=20",
                               "--yes"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
            line = child.stdout.readline()
            self.assertIn(b" leaves ", line)
            for number in signals:
                child.send_signal(number)
                time.sleep(0.1)
            out, err = child.communicate(timeout=60)
        return child.returncode, out.decode(), err.decode()

    def test_interrupted_cleanly(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            status, out, err = self.interrupt([number])
            self.assertEqual(status, 130, err)
            self.assertEqual(err, "")
            table = out[out.rindex("\nVM "):]
            self.assertEqual(table.count("cancelled"), len(table.strip().splitlines()) - 1)
            self.assertNotIn("all that are done", table)

    def test_interrupted_twice_waits_for_nothing(self):
        status, out, err = self.interrupt([signal.SIGINT, signal.SIGINT])
        self.assertEqual(status, 130, err)


class Balance(Case):
    def test_from_unbalanced_to_balanced(self):
        after = self.dir / "after.json"
        text = self.ok("balance", "-c", self.sim, "--yes", "--after", after)
        for part in ("Before", "Goal balance", "Migrating", "After", "all that are done"):
            self.assertIn(part, text)
        self.assertRegex(text, r"It helped: busiest host, CPU 139 % -> \d+ % \(predicted \d+ %\); "
                               r"overloaded hosts 1 -> 0 \(predicted 0\)\.\n$")
        hosts = json.loads(self.ok("status", after, "--json"))["hosts"]
        self.assertLess(max(h["cpu_utilisation"] for h in hosts), 0.9)

    def test_level_and_consolidate_are_carried_out(self):
        for goal, steps in (("level", 3), ("consolidate", 5)):
            uri = f"{self.sim}?state={self.dir / goal}"
            story = json.loads(self.ok("balance", "-c", uri, "--goal", goal, "--yes", "--json"))
            self.assertGreater(len(story["plan"]["steps"]), steps)
            self.assertTrue(all(step["state"] == "done" for step in story["run"]["steps"]), story)
            again = json.loads(self.ok("balance", "-c", uri, "--goal", goal, "--yes", "--json"))
            self.assertEqual(again["plan"]["steps"], [], goal)

    def test_twice_moves_nothing_the_second_time(self):
        uri = f"{self.sim}?state={self.dir}/state.json"
        self.ok("balance", "-c", uri, "--yes")
        self.assertIn("Nothing worth doing", self.ok("balance", "-c", uri, "--yes"))

    def test_who_stops_reading_stops_no_migration(self):
        state = self.dir / "state.json"
        uri = f"{self.sim}?pace=300&state={state}"
        with subprocess.Popen([IMIG, "balance", "-c", uri, "--yes"],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
            while b"Migrating" not in (line := child.stdout.readline()):
                self.assertTrue(line)
            child.stdout.close()
            err = child.stderr.read()
            self.assertEqual(child.wait(100), 1, err)
        self.assertEqual(err, b"imig: standard output: Broken pipe\n")
        was, now = ({vm["id"]: vm["host"] for vm in json.loads(path.read_text())["vms"]}
                    for path in (DEMO, state))
        self.assertEqual(sum(was[vm] != now[vm] for vm in was), 13)

    def test_nothing_moves_where_the_end_cannot_be_written(self):
        state = self.dir / "state.json"
        self.refused("balance", "-c", f"{self.sim}?state={state}", "--yes", "--after",
                     self.dir / "none/after.json", status=1,
                     names="none/after.json: No such file")

    def test_dry_run_moves_nothing(self):
        uri = f"{self.sim}?state={self.dir}/state.json"
        document = json.loads(self.ok("balance", "-c", uri, "--dry-run", "--json"))
        self.assertGreater(len(document["plan"]["steps"]), 0)
        self.assertNotIn("run", document)
        vms = json.loads(self.ok("status", "-c", uri, "--json"))["vms"]
        self.assertEqual({vm["id"]: vm["host"] for vm in vms},
                         {vm["id"]: vm["host"] for vm in json.loads(DEMO.read_text())["vms"]})

    def test_json_holds_the_whole_story(self):
        document = json.loads(self.ok("balance", "-c", self.sim, "--yes", "--json"))
        self.assertEqual(sorted(document), ["after", "before", "missing", "plan", "run"])
        self.assertEqual(document["run"]["done"], len(document["plan"]["steps"]))

    def test_asks_only_on_a_terminal(self):
        for uri in (self.sim, "sim:/none.json"):
            self.refused("balance", "-c", uri, names="--yes")

    def test_colours_and_progress_on_a_terminal(self):
        status, seen = self.on_terminal("balance", "-c", self.sim, answer=b"y\n")
        self.assertEqual(status, 0, seen)
        self.assertIn(b"[y/N]", seen)
        self.assertIn(b"\033[31m", seen)
        self.assertIn(b"\r\033[K", seen)


class Watch(Case):
    def rounds(self, *args, **more):
        return [json.loads(line) for line in self.ok("watch", "--json", *args, **more).splitlines()]

    def test_balanced_in_the_first_round(self):
        uri = f"{self.sim}?state={self.dir}/state.json"
        first, *others = self.rounds("-c", uri, "--rounds", "4")
        self.assertEqual((first["round"], first["decision"], first["busiest"]),
                         (1, "migrated", "node1"))
        self.assertEqual(first["run"]["done"], len(first["steps"]))
        self.assertEqual([r["decision"] for r in others], ["dead-band"] * 3)
        for before, after in zip([first] + others, others):
            self.assertGreaterEqual(after["time_s"], before["time_s"] + 60)
            self.assertEqual(after["steps"], [])
        text = self.ok("watch", "-c", uri, "--rounds", "2", "--dead-band", "0")
        line = r"busiest host node\d at \d+ %, mean \d+ %: nothing worth doing\n"
        self.assertRegex(text, f"({line}.*){{2}}")
        self.assertEqual(self.ok("watch", "-c", uri, "--rounds", "2", "-q"), "")

    def test_lines_that_cannot_be_written(self):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([IMIG, "watch", "-c", self.sim, "--rounds", "2", "--dry-run"],
                                  stdout=full, stderr=subprocess.PIPE, timeout=100, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"standard output: No space left", done.stderr)

    def test_one_line_for_each_round(self):
        text = self.ok("watch", "-c", self.sim, "--rounds", "3")
        self.assertRegex(text, r"busiest host node1 at 139 %, mean \d+ %: \d+ migrations: ")
        self.assertRegex(text, r"\d+ done after ")
        self.assertEqual(text.count("within the dead band\n"), 2)

    def test_noise_moves_nothing_back(self):
        for options in ((), ("--cooldown", "1s", "--dead-band", "0")):
            hosts = {}
            for r in self.rounds("-c", f"{self.sim}?noise=0.05&seed=7", "--rounds", "30", *options):
                for step in r.get("run", {}).get("steps", []):
                    been = hosts.setdefault(step["vm"], [step["from"]])
                    self.assertNotIn(step["to"], been)
                    been.append(step["to"])
            self.assertGreater(len(hosts), 5)

    def test_dry_run_and_budget(self):
        for r in self.rounds("-c", self.sim, "--rounds", "2", "--dry-run"):
            self.assertEqual(r["decision"], "dry-run")
            self.assertGreater(len(r["steps"]), 5)
        for r in self.rounds("-c", self.sim, "--rounds", "5", "--max-moves", "2"):
            self.assertLessEqual(len(r["steps"]), 2)

    def test_what_fails_is_left_alone_longer_and_longer(self):
        vms = [{"id": vm, "host": "h1", "vcpus": 4, "memory_bytes": 1 << 30, "cpu_cores": 3}
               for vm in ("a", "b")]
        hosts = [{"id": host, "cpu_cores": 4, "memory_bytes": 8 << 30} for host in ("h1", "h2")]
        path = self.write("two.json", {"format": "imig-cluster/1", "time_s": 0, "hosts": hosts,
                                       "vms": vms})
        tried = [r["round"] for r in self.rounds("-c", f"sim:{path}?fail=a:999&fail=b:999",
                                                 "--rounds", "60", "--cooldown", "90s")
                 if any(step["vm"] == "a" for step in r["steps"])]
        gaps = [later - earlier for earlier, later in zip(tried, tried[1:])]
        self.assertGreaterEqual(len(gaps), 3)
        self.assertEqual(gaps, sorted(gaps))
        self.assertGreaterEqual(gaps[-1], 3 * gaps[0])

    def test_a_host_to_empty_is_no_matter_of_balance(self):
        rounds = self.rounds("-c", self.sim, "--rounds", "3", "--drain", "node5",
                             "--dead-band", "9", "--threshold", "9")
        self.assertEqual(rounds[0]["decision"], "migrated")
        self.assertIn("node5", [step["from"] for step in rounds[0]["steps"]])

    def test_an_error_ends_a_round_only(self):
        for dies, status, decisions in (("dies:100", 3, ["dead-band", "error", "error"]),
                                        ("dies:1", 1, ["error"] * 3)):
            done = subprocess.run([FAULTY, "watch", "-c", f"faulty:A:{dies}", "--rounds", "3",
                                   "--json"], capture_output=True, text=True, timeout=60,
                                  check=False)
            self.assertEqual(done.returncode, status, done.stderr)
            self.assertEqual([json.loads(line)["decision"] for line in done.stdout.splitlines()],
                             decisions)
            self.assertEqual(len(done.stderr.splitlines()), decisions.count("error"))

    def interrupt(self, after, *args):
        """Once a line says so."""
        with subprocess.Popen([IMIG, "watch", "-c", f"{self.sim}?pace=30", *args],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
            for line in child.stdout:
                if after in line:
                    break
            child.send_signal(signal.SIGINT)
            out, err = child.communicate(timeout=60)
        return child.returncode, out.decode(), err.decode()

    def test_interrupted_with_nothing_under_way(self):
        status, out, err = self.interrupt(b"would be made", "--dry-run")
        self.assertEqual((status, err), (0, ""), out)

    def test_interrupted_while_it_measures(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            child = self.begin("watch", "-c", f"{self.sim}?pace=1", "--interval", "600s",
                               "--measure-dirty")
            time.sleep(0.3)
            child.send_signal(number)
            out, err = child.communicate(timeout=60)
            self.assertEqual((child.returncode, out, err), (0, b"", b""))

    def test_interrupted_while_it_migrates(self):
        status, out, err = self.interrupt(b" leaves ")
        self.assertEqual((status, err), (130, ""), out)
        self.assertIn("cancelled", out)


class Simulate(Case):
    def test_compare_shows_every_policy(self):
        rows = json.loads(self.ok("simulate", DEMO, "--compare", "--json"))
        names = [row["policy"] for row in rows]
        self.assertEqual(names[0], "informed")
        self.assertGreaterEqual(len(names), 7)
        text = self.ok("simulate", DEMO, "--compare")
        for row in rows:
            self.assertIn(f"\n{row['policy']} ", text)
            self.assertEqual(row["loss_before"], rows[0]["loss_before"])
            self.assertGreaterEqual(row["loss_after"] + row["migration_loss"] + 1e-9,
                                    rows[0]["loss_after"] + rows[0]["migration_loss"])

    def test_standard_input_and_seed(self):
        text = self.ok("simulate", "-", "--json", "--seed", "3", data=DEMO.read_bytes())
        self.assertEqual(text, self.ok("simulate", DEMO, "--json", "--seed", "3"))
        self.assertGreater(json.loads(text)["duration_s"]["measured"], 0)

    def test_a_name_with_a_comma(self):
        path = self.dir / "a,b?c.json"
        path.write_bytes(DEMO.read_bytes())
        self.ok("simulate", path, "--quiet")

    def test_a_given_plan(self):
        plan = self.dir / "plan.json"
        self.ok("plan", DEMO, "--policy", "paper", "-o", plan, "--quiet")
        document = json.loads(self.ok("simulate", DEMO, plan, "--json"))
        self.assertEqual(document["policy"], "paper")
        self.assertEqual(document["done"], len(json.loads(plan.read_text())["steps"]))


    def test_a_plan_without_predictions(self):
        plan = self.write("hand.json", {"format": "imig-plan/1", "goal": "balance",
                                        "policy": "by hand", "steps": [
            {"vm": "milc-a", "from": "node1", "to": "node5"}]})
        text = self.ok("run", plan, "-c", self.sim, "--yes")
        self.assertRegex(text, r"milc-a +node1 +node5 +done +- ")
        self.assertNotIn("-100", text)
        run = json.loads(self.ok("run", plan, "-c", self.sim, "--yes", "--json"))
        self.assertIsNone(run["duration_s"]["predicted"])


class Migrate(Case):
    def test_one_migration(self):
        text = self.ok("migrate", "-c", self.sim, "milc-a", "node5")
        self.assertIn("milc-a runs on node5", text)
        run = json.loads(self.ok("migrate", "-c", self.sim, "milc-a", "node5", "--json"))
        step = run["steps"][0]
        self.assertEqual((step["vm"], step["from"], step["to"]), ("milc-a", "node1", "node5"))
        off = step["duration_s"]["predicted"] / step["duration_s"]["measured"] - 1
        self.assertLess(abs(off), 0.1)

    def test_rules_hold(self):
        self.refused("migrate", "-c", self.sim, "oltp-a", "node4", status=1)

    def test_a_failure(self):
        self.ok("migrate", "-c", f"{self.sim}?fail=milc-a:5", "milc-a", "node5", status=1)

    def test_retries(self):
        for retries, attempts, status in ((0, 1, 1), (2, 3, 1), (5, 6, 0)):
            run = json.loads(self.ok("migrate", "-c", f"{self.sim}?fail=milc-a:5", "milc-a",
                                     "node5", "--retries", retries, "--json", status=status))
            self.assertEqual(run["steps"][0]["attempts"], attempts)

    def never_ending(self):
        """A VM that dirties its memory four times as fast as the link carries it."""
        cluster = json.loads(DEMO.read_text())
        vm = next(vm for vm in cluster["vms"] if vm["id"] == "oltp-b")
        vm["dirty_bytes_per_s"], vm["working_set_bytes"] = 5e8, vm["memory_bytes"]
        return f"sim:{self.write('busy.json', cluster)}"

    def test_what_would_never_end_is_refused(self):
        args = ("migrate", "-c", self.never_ending(), "--for", "60s", "oltp-b", "node5")
        self.refused(*args, status=1, names="--on-stall")
        self.refused(*args, "--on-stall", "abort", status=1, names="--on-stall")
        short = args[:3] + ("--for", "1s") + args[5:]
        self.refused(*short, status=1, names="--on-stall")
        for allowed in (("--force",), ("--on-stall", "continue")):
            done = imig(*args, *allowed, "--timeout", "100s", "--retries", "0")
            self.assertEqual((done.returncode, done.stderr), (1, b""))
            self.assertIn("oltp-b failed", done.stdout.decode())
        for allowed in (("--post-copy",), ("--on-stall", "post-copy"),
                        ("--on-stall", "throttle", "--timeout", "1h")):
            self.assertIn("oltp-b runs on node5", self.ok(*args, *allowed))


    def test_a_dirty_rate_that_is_not_known_is_said(self):
        cluster = json.loads(DEMO.read_text())
        del next(vm for vm in cluster["vms"] if vm["id"] == "milc-a")["dirty_bytes_per_s"]
        done = imig("migrate", "-c", f"sim:{self.write('blind.json', cluster)}", "milc-a", "node5")
        self.assertEqual(done.returncode, 0)
        self.assertEqual(done.stderr.count(b"\n"), 1)
        self.assertIn(b"milc-a: its dirty rate is not known", done.stderr)


class Disks(Case):
    def setUp(self):
        super().setUp()
        cluster = json.loads(DEMO.read_text())
        for vm in cluster["vms"]:
            if vm["id"] == "milc-a":
                vm["disks"] = [{"bytes": 2e9, "shared": False}]
        self.file = self.write("local.json", cluster)
        self.uri = f"sim:{self.file}"

    def test_a_local_disk_keeps_a_vm(self):
        plan = json.loads(self.ok("plan", self.file, "--json", "--explain"))
        kept = {kept["vm"]: kept["reason"]["code"] for kept in plan["kept"]}
        self.assertEqual(kept["milc-a"], "local-disk")
        text = " ".join(self.ok("plan", self.file, "--explain").split())
        self.assertIn("cannot tell whether other hosts see its disk: mark it shareable", text)
        self.assertLess(text.index("--unsafe"), text.index("--copy-disks copies it"))
        self.refused("migrate", "-c", self.uri, "milc-a", "node5", status=1, names="--copy-disks")

    def test_what_the_plan_was_made_with_carries_it_out(self):
        plan = self.dir / "plan.json"
        for option in ("--copy-disks", "--unsafe"):
            self.ok("plan", self.file, "--drain", "node1", option, "-q", "-o", plan, status=3)
            self.assertIn("milc-a", [s["vm"] for s in json.loads(plan.read_text())["steps"]])
            for args in (("run", plan, "-c", self.uri, "--yes"), ("simulate", self.file, plan)):
                run = json.loads(self.ok(*args, "--json"))
                self.assertEqual(run["done"], len(run["steps"]))

    def test_copied_or_taken_for_shared(self):
        sent = {}
        for option in ("--copy-disks", "--unsafe"):
            run = json.loads(self.ok("migrate", "-c", self.uri, "milc-a", "node5", option,
                                     "--json"))
            sent[option] = run["transferred_bytes"]
        for key in ("predicted", "measured"):
            self.assertAlmostEqual(sent["--copy-disks"][key] - sent["--unsafe"][key], 2e9,
                                   delta=1e8)


class Dirty(Case):
    def test_rate_and_working_set(self):
        seen = json.loads(self.ok("dirty", "-c", self.sim, "oltp-b", "--for", "60s", "--json"))
        self.assertLess(abs(seen["dirty_bytes_per_s"] / 24e6 - 1), 0.1)
        self.assertLess(abs(seen["working_set_bytes"] / (900 << 20) - 1), 0.1)
        dirtied = [point["dirtied_bytes"] for point in seen["points"]]
        self.assertEqual(dirtied, sorted(dirtied))
        self.assertIn("working set", self.ok("dirty", "-c", self.sim, "oltp-b"))

    def test_interrupted_cleanly(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            child = self.begin("dirty", "-c", f"{self.sim}?pace=1", "oltp-b", "--for", "600s")
            child.send_signal(number)
            out, err = child.communicate(timeout=60)
            self.assertEqual((child.returncode, out), (130, b""), err)
            self.assertEqual(err, b"imig: oltp-b: stopped on request\n")

    def test_what_nohup_has_begun_goes_on(self):
        child = self.begin("dirty", "-c", f"{self.sim}?pace=20", "oltp-b", "--for", "20s",
                           preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
        child.send_signal(signal.SIGHUP)
        out, err = child.communicate(timeout=60)
        self.assertEqual((child.returncode, err), (0, b""))
        self.assertIn(b"working set", out)


class Predict(Case):
    common = ("--memory", "4GiB", "--bandwidth", "1Gbit/s")

    def cost(self, *args):
        return json.loads(self.ok("predict", *self.common, *args, "--json"))

    def test_idle_memory_is_sent_once(self):
        cost = self.cost()
        self.assertLess(abs(cost["duration_s"] / (2**32 / 125e6) - 1), 0.1)
        self.assertTrue(cost["converges"])

    def test_trends_of_figure_1(self):
        small = self.cost("--dirty-rate", "20MB/s", "--working-set", "300MB")
        large = self.cost("--dirty-rate", "60MB/s", "--working-set", "900MB")
        self.assertGreater(large["duration_s"], small["duration_s"])
        self.assertGreater(large["transferred_bytes"], small["transferred_bytes"])

    def test_what_does_not_converge_is_said(self):
        args = ("--dirty-rate", "500MB/s", "--hypervisor", "qemu")
        cost = self.cost(*args)
        self.assertFalse(cost["converges"])
        self.assertEqual(cost["stopped_after_rounds"], 100)
        self.assertEqual(cost["rounds"], 101)
        self.assertNotIn("stopped_after_rounds", self.cost())
        text = self.ok("predict", *self.common, *args)
        self.assertRegex(text, r"^It never ends by itself: .* does not converge\.\n"
                               r"Stopped by force after 100 rounds it would have taken \d+ s, with "
                               r"\d+ GiB sent and a downtime of [\d.]+ s\.\n")
        self.assertAlmostEqual(cost["downtime_s"], 2**32 * (1 + 8 / 4096) / (0.94 * 1.25e8), 0)

    def test_what_cannot_be_is_refused(self):
        for args, names in (
                (("--working-set", "5GiB", "--dirty-rate", "1MB/s"),
                 "--working-set 5.0 GiB is more than --memory 4.0 GiB"),
                (("--nonzero", "5GiB"), "--nonzero 5.0 GiB is more than --memory 4.0 GiB"),
                (("--populated", "5GiB"), "--populated 5.0 GiB is more than --memory"),
                (("--nonzero", "3GiB", "--populated", "2GiB"), "more than --populated 2.0 GiB"),
                (("--working-set", "1GiB"), "--working-set needs --dirty-rate"),
                (("--writes", "cyclic"), "--writes needs --dirty-rate"),
                (("--hypervisor", "xen", "--downtime-limit", "1s"), "--downtime-limit is of qemu")):
            with self.subTest(args=args):
                self.refused("predict", *self.common, *args, names=names)
        self.cost("--working-set", "4GiB", "--nonzero", "4GiB", "--dirty-rate", "1MB/s")

    def test_units(self):
        want = self.cost("--dirty-rate", "20MB/s", "--downtime-limit", "300ms")
        for args in (("--dirty-rate", "20000000", "--downtime-limit", "0.3"),
                     ("--dirty-rate", "160Mbit/s", "--downtime-limit", "0.3s"),
                     ("--dirty-rate", "0.02GB/s", "--downtime-limit", "0.3 s")):
            self.assertEqual(self.cost(*args), want, args)
        for wrong in ("4XB", "inf", "nan", "0x10", "-1GiB", "", "1e999", "4GiB/s"):
            with self.subTest(text=wrong):
                self.refused("predict", f"--memory={wrong}", "--bandwidth", "1Gbit/s",
                             names="--memory")

    def table(self, text):
        done = imig("predict", "--csv", "-", text=text)
        self.assertEqual(done.returncode, 0, done.stderr)
        return list(csv.DictReader(io.StringIO(done.stdout.decode()))), done.stderr.decode()

    def test_table(self):
        rows, err = self.table(
            "vm,memory_bytes,bandwidth_bytes_per_s,dirty_bytes_per_s,duration_s,x-note\r\n"
            '"a, first",4294967296,125000000,0,34.4,"say ""hi"""\r\n'
            "b,4294967296,125000000,20000000,,\r\n")
        self.assertEqual([row["vm"] for row in rows], ["a, first", "b"])
        self.assertEqual(rows[0]["x-note"], 'say "hi"')
        alone = self.cost()
        self.assertAlmostEqual(float(rows[0]["predicted_duration_s"]), alone["duration_s"], 5)
        self.assertAlmostEqual(float(rows[0]["duration_s_error"]),
                               alone["duration_s"] / 34.4 - 1, 6)
        self.assertEqual(rows[1]["duration_s_error"], "")
        self.assertRegex(err, r"^duration_s: 1 row measured, error p50 [\d.]+ %, p90 [\d.]+ %\n$")

    def test_table_as_json(self):
        document = json.loads(self.ok("predict", "--csv", "-", "--json", text=(
            "\ufeffmemory_bytes,bandwidth_bytes_per_s,hypervisor,duration_s\n"
            "1e9,1e8,xen,10\n1e9,1e8,qemu,20\n\n")))
        self.assertEqual(len(document["rows"]), 2)
        self.assertEqual(document["errors"]["duration_s"]["rows"], 2)
        self.assertLessEqual(document["errors"]["duration_s"]["p50"],
                             document["errors"]["duration_s"]["p90"])

    def test_broken_tables(self):
        for text, names in (
                ("", "no columns"),
                ("memory_bytes\n1\n", '"bandwidth_bytes_per_s"'),
                ("memory_bytes;bandwidth_bytes_per_s\n1;1\n", 'not ";"'),
                ("memory_bytes,bandwidth_bytes_per_s,colour\n1,1,red\n", '"colour"'),
                ("memory_bytes,memory_bytes,bandwidth_bytes_per_s\n1,1,1\n", "twice"),
                ("memory_bytes,bandwidth_bytes_per_s\n1\n",
                 "line 2: 1 cell, not 2 as in the header"),
                ("memory_bytes,bandwidth_bytes_per_s\nx,1\n", 'line 2: memory_bytes: "x"'),
                ("memory_bytes,bandwidth_bytes_per_s\n1,1\n-5,1\n", "line 3: memory_bytes: -5"),
                ("memory_bytes,bandwidth_bytes_per_s\n1,nan\n", '"nan"'),
                # Lines of the file, whatever stands between them or in a cell.
                ("\n\nmemory_bytes,bandwidth_bytes_per_s\r\n1,1\r\n\r\nx,1\r\n", "line 6: "),
                ('vm,memory_bytes,bandwidth_bytes_per_s\n"a\nb",1,1\n"c\nd",x,1\n', "line 4: "),
                ('vm,memory_bytes,bandwidth_bytes_per_s\n"a\nb",1,1\n"c\nd",1\n', "line 4: 2"),
                ("memory_bytes,bandwidth_bytes_per_s,hypervisor\n1,1,vmx\n",
                 'line 2: no hypervisor "vmx"; there are qemu, xen'),
                ("memory_bytes,bandwidth_bytes_per_s,class\n1,1,mail\n",
                 'line 2: no class "mail"; there are idle, cpu'),
                ("memory_bytes,bandwidth_bytes_per_s,writes\n1,1,odd\n",
                 'no writes "odd"; there are random, cyclic'),
                ("memory_bytes,bandwidth_bytes_per_s,outcome\n1,1,odd\n",
                 'no outcome "odd"; there are unfinished, done, failed, cancelled'),
                ('memory_bytes,bandwidth_bytes_per_s\n"1"x,1\n', "line 2: a stray")):
            with self.subTest(text=text):
                self.refused("predict", "--csv", "-", text=text, names=names)
        self.refused("predict", "--csv", "-", data=b"memory_bytes\xff,\n", names="UTF-8")
        self.refused("predict", "--csv", self.dir / "none.csv", names="none.csv")
        self.refused("predict", "--csv", "-", "--memory", "1GiB", names="--csv")


class Store(Case):
    """History and learning; the default store is a folder of the test's own."""

    def setUp(self):
        super().setUp()
        self.sim = f"sim:{DEMO}?state={self.dir / 'state.json'}"
        self.store = self.dir / "imig.db"
        before = os.environ["XDG_STATE_HOME"]
        self.addCleanup(os.environ.update, XDG_STATE_HOME=before)
        os.environ["XDG_STATE_HOME"] = str(self.dir / "default")

    def balance(self, *args):
        return self.ok("balance", "-c", self.sim, "--yes", "--quiet", *args)

    def history(self, *args):
        return json.loads(self.ok("history", "--store", self.store, "--json", *args))

    def rows(self, plans=12, share=0.8, setup=2.0):
        """Migrations that nothing but a share of the link and a fixed time explains."""
        lines = ["plan,memory_bytes,bandwidth_bytes_per_s,duration_s"]
        for plan in range(plans):
            for memory in (1e9, 2e9, 4e9):
                bandwidth = (1.25e8, 6e7)[plan % 2]
                lines.append(f"p{plan},{memory:.0f},{bandwidth:.0f},"
                             f"{memory * (1 + 8 / 4096) / (share * bandwidth) + setup:.3f}")
        return "\n".join(lines) + "\n"

    def test_migrations_are_written_down(self):
        self.balance("--store", self.store)
        found = self.history()
        self.assertEqual(len(found["migrations"]), 13)
        for one in found["migrations"]:
            self.assertEqual(one["outcome"], "done")
            self.assertGreater(one["duration_s"]["predicted"], 0)
            self.assertGreater(one["duration_s"]["measured"], 0)
            self.assertEqual(one["learned_from"], 0)
        self.assertEqual(len({one["run"] for one in found["migrations"]}), 1)
        everything = next(e for e in found["errors"] if e["of"] == "all")
        self.assertEqual(everything["duration_s"]["migrations"], 13)
        self.assertLessEqual(everything["duration_s"]["p50"], everything["duration_s"]["p90"])
        text = self.ok("history", "--store", self.store)
        self.assertIn("milc-a", text)
        self.assertIn("as predicted before they began", text)
        self.assertRegex(text, r"host +node1 +\d+ ")

    def test_a_run_writes_down_what_it_saw(self):
        plan = self.dir / "plan.json"
        status = json.loads(self.ok("status", "-c", self.sim, "--json"))
        seen = {vm["id"]: vm for vm in status["vms"]}
        self.ok("plan", DEMO, "-o", plan, "--quiet")
        self.ok("run", plan, "-c", self.sim, "--yes", "--quiet", "--store", self.store)
        found = self.history()["migrations"]
        self.assertIn("memory-dirty", [one["class"] for one in found])
        for one in found:
            self.assertEqual(one["class"], seen[one["vm"]]["class"])
            self.assertGreater(one["dirty_bytes_per_s"], 0)

    def test_a_class_that_was_not_seen_is_not_written_down(self):
        vms = [{"id": f"v{i}", "host": "h1", "vcpus": 2, "memory_bytes": 1 << 30, "cpu_cores": 1.5,
                "dirty_bytes_per_s": 3e8, "working_set_bytes": 1 << 28} for i in range(8)]
        hosts = [{"id": host, "cpu_cores": 8, "memory_bytes": 64 << 30, "net_bytes_per_s": 1.25e9}
                 for host in ("h1", "h2")]
        path = self.write("two.json", {"format": "imig-cluster/1", "time_s": 0, "hosts": hosts,
                                       "vms": vms})
        plan = self.dir / "plan.json"
        self.ok("plan", path, "--drain", "h1", "-o", plan, "--quiet", "--threshold", "9")
        self.ok("run", plan, "-c", f"sim:{path}", "--yes", "--quiet", "--for", "3s", "--store",
                self.store)
        known = {one["dirty_bytes_per_s"] is not None: one["class"]
                 for one in self.history()["migrations"]}
        self.assertEqual(known, {True: "memory-dirty", False: None})

    def test_a_dry_run_only_reads_the_store(self):
        dry = ("balance", "-c", self.sim, "--dry-run", "--store", self.store)
        done = imig(*dry)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        self.assertIn(b"assumed constants", done.stdout)
        self.assertFalse(self.store.exists())
        self.ok("calibrate", "--csv", self.write("rows.csv", self.rows()), "--store", self.store)
        content = self.store.read_bytes()
        done = imig(*dry)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        self.assertIn(b"learned from 36 migrations", done.stdout)
        self.assertEqual(self.store.read_bytes(), content)
        self.refused("balance", "-c", self.sim, "--dry-run", "--store", DEMO, names=DEMO.name)

    def test_filters(self):
        self.balance("--store", self.store)
        count = lambda *args: len(self.history(*args)["migrations"])  # noqa: E731
        self.assertEqual(count("--vm", "milc-a"), 1)
        self.assertEqual(count("--vm", "nobody"), 0)
        every = self.history()["migrations"]
        of_class = sum(one["class"] == "disk-io" for one in every)
        self.assertTrue(0 < of_class < len(every))
        self.assertEqual(count("--class", "disk-io"), of_class)
        self.assertEqual(count("--host", "node1") + count("--host", "nobody"),
                         sum("node1" in (one["from"], one["to"]) for one in every))
        self.assertEqual(count("--outcome", "failed"), 0)
        self.assertEqual(count("--since", "1h"), len(every))
        self.assertEqual(count("--until", "1h"), 0)
        self.assertEqual(count("--since", "2020-01-31", "--until", "2020-02-01T12:00:00"), 0)
        self.assertEqual(count("--latest", "3"), 3)
        self.assertIn("No such migrations", self.ok("history", "--store", self.store, "--vm", "x"))
        for args, names in ((("--class", "x"), "--class"), (("--outcome", "x"), "--outcome"),
                            (("--since", "yesterday"), "--since")):
            with self.subTest(args=args):
                self.refused("history", "--store", self.store, *args, names=names)

    def test_a_failed_and_a_cancelled_one(self):
        sim = f"sim:{DEMO}?fail=milc-a"
        imig("migrate", "-c", sim, "milc-a", "node4", "--store", self.store, "--retries", "0")
        one, = self.history()["migrations"]
        self.assertEqual(one["outcome"], "failed")
        self.assertIsNone(one["duration_s"]["measured"])
        self.assertTrue(one["message"])
        self.assertEqual(self.history()["errors"], [])

    def test_simulated_hosts_leave_the_default_store_alone(self):
        folder = pathlib.Path(os.environ["XDG_STATE_HOME"]) / "imig"
        self.assertFalse(folder.exists())
        self.balance()
        self.assertFalse(folder.exists())
        self.refused("history", names="no such store")
        self.refused("balance", "-c", self.sim, "--yes", "--store", self.store, "--no-store",
                     names="--no-store")

    def test_killed_in_the_middle(self):
        sim = f"{self.sim}&pace=20"
        with subprocess.Popen([IMIG, "balance", "-c", sim, "--yes", "--quiet", "--store",
                               self.store], stdin=subprocess.DEVNULL) as child:
            deadline = time.monotonic() + 60
            states = []
            while "unfinished" not in states and time.monotonic() < deadline:
                time.sleep(0.1)
                done = imig("history", "--store", self.store, "--json")
                if done.returncode == 0:
                    states = [m["outcome"] for m in json.loads(done.stdout)["migrations"]]
            child.kill()
        self.assertIn("unfinished", states)
        self.assertIn("unfinished", [one["outcome"] for one in self.history()["migrations"]])
        self.refused("calibrate", "--store", self.store, names="too few")

    def test_several_at_once(self):
        children = []
        for number in range(4):
            sim = f"sim:{DEMO}?state={self.dir / f'state{number}.json'}"
            children.append(subprocess.Popen(
                [IMIG, "balance", "-c", sim, "--yes", "--quiet", "--store", self.store],
                stdin=subprocess.DEVNULL, stderr=subprocess.PIPE))
        for child in children:
            self.assertEqual(child.communicate(timeout=100)[1], b"")
            self.assertEqual(child.returncode, 0)
        migrations = self.history()["migrations"]
        self.assertEqual(len(migrations), 52)
        self.assertEqual({one["outcome"] for one in migrations}, {"done"})

    def test_what_is_no_store_is_refused_before_anything_moves(self):
        path = self.write("other.db", "x" * 2000)
        before = path.read_bytes()
        for args in (("balance", "-c", self.sim, "--yes"), ("history",), ("calibrate",),
                     ("migrate", "-c", self.sim, "milc-a", "node4"), ("affinity", "learn"),
                     ("predict", "--memory", "1GiB", "--bandwidth", "1Gbit/s")):
            with self.subTest(args=args):
                self.refused(*args, "--store", path, names="not a store of imig")
        self.assertEqual(path.read_bytes(), before)
        self.assertFalse((self.dir / "state.json").exists())
        self.refused("plan", DEMO, "--store", self.dir / "none.db", names="no such store")

    def test_learned_constants_are_used_from_then_on(self):
        args = ("--memory", "4GB", "--bandwidth", "1Gbit/s")
        before = json.loads(self.ok("predict", *args, "--json"))
        self.assertEqual(before["learned_from"], 0)
        self.assertIn("assumed constants of qemu", self.ok("predict", *args))
        text = self.ok("calibrate", "--csv", "-", "--store", self.store, text=self.rows())
        self.assertIn("Kept in the store", text)
        text = self.ok("predict", *args, "--store", self.store)
        self.assertIn("learned from 36 migrations", text)
        self.assertIn("\u00b1", text)
        after = json.loads(self.ok("predict", *args, "--store", self.store, "--json"))
        self.assertEqual(after["learned_from"], 36)
        self.assertAlmostEqual(after["duration_s"], 4e9 * (1 + 8 / 4096) / (0.8 * 1.25e8) + 2,
                               delta=0.5)
        self.assertLess(after["duration_p50_ratio"], 0.02)
        # A plan for the demo takes longer with it, and says where that is from.
        plain = json.loads(self.ok("plan", DEMO, "--json"))["steps"][0]
        learned = json.loads(self.ok("plan", DEMO, "--json", "--store", self.store))["steps"][0]
        self.assertGreater(learned["duration_s"] / learned["transferred_bytes"],
                           plain["duration_s"] / plain["transferred_bytes"])
        self.assertIn("learned from 36", self.ok("plan", DEMO, "--store", self.store))
        self.assertIn("with the given constants of qemu",
                      self.ok("plan", DEMO, "--store", self.store, "--constants",
                              self.constants()))
        self.balance("--store", self.store)
        self.assertEqual({one["learned_from"] for one in self.history()["migrations"]}, {36})

    def constants(self):
        return self.write("constants.json", {"format": "imig-constants/1", "constants": [
            {"hypervisor": "qemu", "link_share_ratio": 0.5}]})

    def test_less_certain_where_it_is_unlike(self):
        self.ok("calibrate", "--csv", "-", "--store", self.store, text=self.rows())
        like, unlike = (json.loads(self.ok("predict", "--memory", memory, "--bandwidth",
                                           "1Gbit/s", "--json", "--store", self.store))
                        for memory in ("3GB", "64GB"))
        self.assertGreater(unlike["duration_p90_ratio"], 3 * like["duration_p90_ratio"])
        self.assertIn("unlike", self.ok("predict", "--memory", "64GB", "--bandwidth", "1Gbit/s",
                                        "--store", self.store))

    def test_dry_run_and_output(self):
        out = self.dir / "constants.json"
        self.ok("calibrate", "--csv", "-", "--store", self.store, "--dry-run", text=self.rows())
        self.assertFalse(self.store.exists())
        self.ok("calibrate", "--csv", "-", "-o", out, text=self.rows())
        self.assertFalse(self.store.exists())
        document = json.loads(out.read_text())
        self.assertEqual(document["constants"][0]["migrations"], 36)
        self.assertEqual(document, json.loads(self.ok("calibrate", "--csv", "-", "--json",
                                                      text=self.rows())))
        cost = json.loads(self.ok("predict", "--memory", "4GB", "--bandwidth", "1Gbit/s",
                                  "--json", "--constants", out))
        self.assertEqual(cost["learned_from"], 36)

    def test_what_is_right_already_stays(self):
        head = "plan,memory_bytes,bandwidth_bytes_per_s,duration_s,downtime_s\n"
        rows = []
        for i in range(30):
            cost = json.loads(self.ok("predict", "--memory", f"{1 + i % 7}GB", "--bandwidth",
                                      "1Gbit/s", "--json"))
            rows.append(f"p{i},{1 + i % 7}e9,1.25e8,{cost['duration_s'] * (1 + (i % 5 - 2) / 99)},"
                        f"{cost['downtime_s'] + 0.1}\n")
        text = self.ok("calibrate", "--csv", "-", "--dry-run", text=head + "".join(rows))
        self.assertIn("All stay as assumed", text)
        self.assertIn("predicted again", text)
        self.assertNotIn("in parentheses", text)
        # What is written says how far off the assumed ones are, not that they were learned.
        out = self.dir / "constants.json"
        self.ok("calibrate", "--csv", "-", "-o", out, text=head + "".join(rows))
        text = self.ok("predict", "--memory", "4GB", "--bandwidth", "1Gbit/s", "--constants", out)
        self.assertIn("with assumed constants of qemu, which 30 migrations could not better: half "
                      "of", text)
        self.assertNotIn("learned", text)
        self.assertIn("in parentheses", self.ok("calibrate", "--csv", "-", "--dry-run",
                                                text=self.rows()))

    def test_history_is_what_calibrate_reads(self):
        self.balance("--store", self.store)
        out = self.dir / "history.csv"
        self.ok("history", "--store", self.store, "-o", out)
        self.refused("calibrate", "--csv", out, names="13 migrations")
        rows = list(csv.DictReader(out.open()))
        self.assertEqual(len(rows), 13)
        # Not rounded, so that the same is learned from it as from the store.
        db = sqlite3.connect(self.store)
        self.addCleanup(db.close)
        names = ("start_s", "memory_bytes", "memory_nonzero_bytes", "from_cpu_ratio", "duration_s",
                 "downtime_s", "transferred_bytes")
        kept = db.execute(f"SELECT {', '.join(names)} FROM migration ORDER BY start_s, id")
        self.assertEqual([tuple(float(row[name]) if row[name] else None for name in names)
                          for row in rows], kept.fetchall())
        self.assertNotIn("e", "".join(row["memory_bytes"] for row in rows))
        done = imig("predict", "--csv", out)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(b"13 rows measured", done.stderr)
        # From what was written down about each one nearly the same follows as for the plan.
        off = sorted(abs(float(row["predicted_duration_s"]) / float(row["predicted_s"]) - 1)
                     for row in csv.DictReader(io.StringIO(done.stdout.decode())))
        self.assertLess(off[6], 0.02)
        self.assertLess(off[11], 0.10)

    def test_nonsense_is_not_learned(self):
        head = "plan,memory_bytes,bandwidth_bytes_per_s,duration_s\n"
        for text, names in (
                ("", "no columns"), (head, "too few"),
                (head + "p,1e9,1e8,10\n" * 30, "3 are needed"),
                (head + "p,1e9,1e8,-10\n", "line 2: duration_s"),
                (head + "p,1e9,1e8,soon\n", '"soon"'),
                (head[:-1] + ",downtime_s\np,1e9,1e8,10,3\nq,1e9,1e8,10,9999\n",
                 "line 3: downtime_s: 9999 is more than duration_s, 10"),
                (head[:-1] + ",transferred_bytes\np,1e9,1e8,10,1\n",
                 "line 2: transferred_bytes"),
                (head + "".join(f"p{i},1e9,1e8,10\n" for i in range(30)), "took 10 s"),
                (head + "".join(f"p{i},{1e9 + i},1e8,{10 ** (i % 7 - 1)}\n" for i in range(40)),
                 "far more or less")):
            with self.subTest(text=text[:80]):
                self.refused("calibrate", "--csv", "-", "--store", self.dir / "not.db", "-n",
                             text=text, names=names)

    def test_side_by_side(self):
        """Two that leave one host share its link; a host that sends receives more slowly."""
        head = "run,from,to,start_s,memory_bytes,bandwidth_bytes_per_s\n"
        seconds = lambda text: [row["duration_s"] for row in json.loads(  # noqa: E731
            self.ok("predict", "--csv", "-", "--json", text=text))["rows"]]
        alone, = seconds(head + "r,a,b,0,4e9,1e8\n")
        one, other = seconds(head + "r,a,b,0,4e9,1e8\nr,a,c,0,4e9,1e8\n")
        self.assertAlmostEqual(one, other, 3)
        self.assertAlmostEqual(one / alone, 2, 1)
        receiving, sending = seconds(head + "r,a,b,0,4e9,1e8\nr,b,c,0,4e9,1e8\n")
        self.assertAlmostEqual(sending, alone, 3)
        self.assertAlmostEqual(receiving / alone, 1.1, 1)
        apart = seconds(head + "r,a,b,0,4e9,1e8\ns,a,c,0,4e9,1e8\n")
        self.assertAlmostEqual(apart[0], alone, 3)

    def test_affinity(self):
        self.assertIn("milc", self.ok("affinity", "show"))
        self.balance("--store", self.store)
        self.refused("affinity", "learn", names="no such store")
        self.refused("affinity", "forget", names="learn")
        out = self.dir / "affinity.csv"
        for number in range(8):  # the same hosts, balanced and out of balance again
            (self.dir / "state.json").unlink()
            self.balance("--store", self.store, "--goal", ("balance", "relieve")[number % 2])
        found = json.loads(self.ok("affinity", "learn", "--store", self.store, "-o", out, "--json"))
        self.assertTrue(found["slowdowns"])
        for one in found["slowdowns"]:
            self.assertGreaterEqual(one["observations"], 12)
            self.assertGreaterEqual(one["standard_error"], 0)
            if one["sure"]:
                self.assertLess(one["p_value"], 0.05)
                self.assertTrue(0 <= one["slowdown_ratio"] <= 1)
        # What is not sure is as it is built in.
        sure = {(one["class"], one["beside"]): 1 + one["slowdown_ratio"]
                for one in found["slowdowns"] if one["sure"]}
        for row in csv.DictReader(out.open()):
            for victim in list(row)[1:]:
                beside = row[list(row)[0]]
                self.assertTrue(float(row[victim]) <= 2, row)
                if (victim, beside) in sure:
                    self.assertAlmostEqual(float(row[victim]), sure[victim, beside], 6)
        self.ok("plan", DEMO, "--affinity", out)
        self.assertIn("standard error", self.ok("affinity", "learn", "--store", self.store))


class Capacity(Case):
    def capacity(self, *hosts):
        return self.write("capacity.json", {"format": "imig-capacity/1", "hosts": list(hosts)})

    def test_every_command_sees_what_is_known_better(self):
        hosts = ({"id": "node1", "cpu_cores": 0.5, "name": "small"},
                 {"id": "node2", "state": "maintenance"})
        path = self.capacity(*hosts)
        seen = json.loads(self.ok("status", "-c", self.sim, "--host-capacity", path, "--json"))
        by_id = {host["id"]: host for host in seen["hosts"]}
        self.assertEqual((by_id["node1"]["cpu_cores"], by_id["node1"]["name"]), (0.5, "small"))
        self.assertEqual(by_id["node2"]["state"], "maintenance")
        self.assertGreater(by_id["node3"]["cpu_cores"], 1)
        seen = json.loads(self.ok("observe", "-c", self.sim, "--host-capacity", path))
        self.assertEqual(seen["hosts"][0]["cpu_cores"], 0.5)
        plan = json.loads(self.ok("plan", "-c", self.sim, "--host-capacity", "-", "--json",
                                  data=path.read_bytes()))
        self.assertTrue(any(step["from"] == "node1" for step in plan["steps"]))
        self.assertFalse(any(step["to"] in ("node1", "node2") for step in plan["steps"]))

    def test_a_host_of_nobody(self):
        path = self.capacity({"id": "node1"}, {"id": "node99", "cpu_cores": 2})
        self.refused("status", "-c", self.sim, "--host-capacity", path,
                     names='host capacities: hosts[1].id: "node99": no such host')


class Missing(Case):
    """One host that cannot be reached, or dies after 20 s, beside one that answers."""
    dies = ("-c", "faulty:A", "-c", "faulty:B:dies:20")
    closed = ("-c", "faulty:A", "-c", "faulty:u:secret@B:closed")

    def run_on(self, *args, status=0):
        done = subprocess.run([FAULTY, *args], stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=100, check=False)
        self.assertEqual(done.returncode, status, done.stderr)
        self.assertNotIn("secret", done.stderr + done.stdout)
        return done.stdout, done.stderr.splitlines()

    def test_the_row_is_offline_and_one_line_warns(self):
        text, warnings = self.run_on("status", *self.dies)
        self.assertRegex(text, r"(?m)^A  +active ")
        self.assertRegex(text, r"(?m)^B  +offline ")
        self.assertIn("A-vm", text)
        self.assertNotIn("B-vm", text)
        self.assertNotIn("\033", text)
        self.assertEqual(warnings, ["imig: warning: faulty:B:dies:20: cannot reach "
                                    "faulty:B:dies:20; the rest goes on without it"])

    def test_what_cannot_be_opened_has_a_row(self):
        named = self.closed[:3] + (self.closed[3] + ",migrate=x,id=B",)
        self.assertRegex(self.run_on("status", *named)[0], r"(?m)^B  +offline  +-  +-  +-  +- ")
        text, warnings = self.run_on("status", *self.closed)
        self.assertRegex(text, r"(?m)^faulty:u:\*\*\*@B:closed  offline  +- ")
        self.assertEqual(warnings, ["imig: warning: faulty:u:***@B:closed: cannot reach "
                                    "faulty:u:***@B:closed; the rest goes on without it"])

    def test_documents_of_the_tool_name_it(self):
        line = "faulty:u:***@B:closed: cannot reach faulty:u:***@B:closed"
        for args, status in ((("status",), 0), (("balance", "--dry-run"), 3)):
            document = json.loads(self.run_on(*args, "--json", *self.closed, status=status)[0])
            self.assertEqual(document["missing"], [line], args)
        self.assertEqual(json.loads(self.run_on("status", "--json", "-c", "faulty:A")[0])
                         ["missing"], [])
        self.assertEqual(json.loads(self.ok("status", "--json", DEMO))["missing"], [])

    def test_every_command_goes_on_with_the_rest(self):
        seen = json.loads(self.run_on("observe", *self.dies)[0])
        self.assertEqual([host.get("state", "active") for host in seen["hosts"]],
                         ["active", "offline"])
        self.assertEqual([vm["id"] for vm in seen["vms"]], ["A-vm"])
        for args in (("plan",), ("plan", "--json")):
            _, warnings = self.run_on(*args, *self.closed)
            self.assertEqual(len(warnings), 1, args)

    def test_who_migrates_without_them_says_so(self):
        for args in (("balance", "--yes"), ("watch", "--rounds", "2")):
            _, lines = self.run_on(*args, "-q", *self.closed, status=3)
            self.assertEqual(lines, ["imig: 1 host was not seen"], args)

    def test_nothing_migrates_there(self):
        named = self.closed[:3] + (self.closed[3] + ",id=B",)
        _, lines = self.run_on("migrate", *named, "A-vm", "B", status=1)
        self.assertEqual(lines[1:], ["imig: host B does not answer"])
        _, lines = self.run_on("migrate", *self.closed, "A-vm", "B", status=2)
        self.assertIn('no host "B" among those that answer; this does not: faulty:u:***@B:closed',
                      lines[1])

    def test_quiet_and_verbose(self):
        self.assertEqual(self.run_on("plan", "-q", *self.closed), ("", []))
        self.assertEqual(len(self.run_on("status", "-v", *self.closed)[1]), 1)

    def test_nobody_calls_a_vm_absent(self):
        _, lines = self.run_on("dirty", *self.closed, "B-vm", status=1)
        self.assertEqual(lines[1], "imig: B-vm: faulty:u:***@B:closed: cannot reach "
                                   "faulty:u:***@B:closed")

    def test_where_nobody_answers_it_fails(self):
        text, lines = self.run_on("status", "-c", "faulty:A:closed", "-c", "faulty:B:closed",
                                  status=1)
        self.assertEqual((text, lines), ("", ["imig: faulty:A:closed: cannot reach "
                                              "faulty:A:closed"]))


class Tap(unittest.TestResult):
    """One line a test, as the Test Anything Protocol wants it; what went wrong behind it."""

    def startTest(self, test):
        super().startTest(test)
        self.details = []

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.details.append(f"{subtest}: {err[1]}")

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.details.append(self._exc_info_to_string(err, test))

    def addError(self, test, err):
        self.addFailure(test, err)

    def stopTest(self, test):
        super().stopTest(test)
        word = "not ok" if self.details else "ok"
        print(f"{word} {self.testsRun} - {test.id().removeprefix('__main__.')}")
        for line in "\n".join(self.details).splitlines():
            print(f"# {line}")
        sys.stdout.flush()


def main():
    with tempfile.TemporaryDirectory() as state:
        os.environ["XDG_STATE_HOME"] = state  # nobody's own store is touched
        return run_all()


def run_all():
    global IMIG, TOP, DEMO, FAULTY
    IMIG, TOP, FAULTY = sys.argv[1], pathlib.Path(sys.argv[2]).resolve(), sys.argv[3]
    DEMO = TOP / "tools/demo-cluster.json"
    suite = unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"])
    if len(sys.argv) > 4:
        suite = unittest.TestSuite(t for group in suite for t in group
                                   if any(word in t.id() for word in sys.argv[4:]))
    print(f"1..{suite.countTestCases()}")
    result = Tap()
    suite.run(result)
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    # Begun by nohup or in the background, this ignores them, and so would what it begins.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(main())
