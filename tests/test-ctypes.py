#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The library as Python sees it: test-ctypes.py LIBIMIG.SO TOP CC.  Prints TAP."""

import ctypes
import json
import math
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import threading
from ctypes import POINTER, byref, c_double, c_int, c_int32, c_size_t, c_uint32, c_void_p

LIBRARY, TOP, CC = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3:]
sys.dont_write_bytecode = True
sys.path.insert(0, str(TOP / "tools" / "python"))
import imig  # noqa: E402

GIB = 2.0 ** 30


def small_cluster(cpu_cores=1.5):
    """h1 is overloaded, h2 empty."""
    vms = [{"id": f"v{i}", "host": "h1", "vcpus": 4, "memory_bytes": GIB, "cpu_cores": cpu_cores,
            "class": "cpu"} for i in range(6)]
    hosts = [{"id": name, "cpu_cores": 8, "memory_bytes": 32 * GIB, "net_bytes_per_s": 1.25e9}
             for name in ("h1", "h2")]
    return {"format": "imig-cluster/1", "time_s": 0, "hosts": hosts, "vms": vms}


def raises(code_name, function, *arguments, **named):
    try:
        function(*arguments, **named)
    except imig.ImigError as error:
        assert error.name == code_name, f"{error.name}: {error}"
        assert error.code < 0 and error.message and "\n" not in error.message
        return error
    raise AssertionError(f"no {code_name}")


def test_raw_call_without_the_binding():
    lib = ctypes.CDLL(LIBRARY)
    lib.imig_error_message.argtypes = [c_void_p]
    lib.imig_error_message.restype = ctypes.c_char_p
    lib.imig_order.argtypes = [POINTER(c_int32), POINTER(c_double), c_size_t, c_void_p,
                               POINTER(c_uint32), POINTER(c_void_p)]
    lib.imig_order.restype = c_int
    order, error = (c_uint32 * 3)(), c_void_p()
    if lib.imig_order((c_int32 * 3)(5, 1, 4), (c_double * 3)(1, 9, 50), 3, None, order,
                      byref(error)):
        raise AssertionError(lib.imig_error_message(error).decode())
    assert list(order) == [2, 1, 0]  # web first, receive last (section 3.3)


def test_structs_have_the_layout_of_c():
    names = {"PlanOptions": "imig_plan_options", "PlanStep": "imig_plan_step",
             "PlanTotals": "imig_plan_totals", "PlanSummary": "imig_plan_summary",
             "MigrationProfile": "imig_migration_profile", "Cost": "imig_cost",
             "OrderOptions": "imig_order_options", "OrderPairsOptions": "imig_order_pairs_options",
             "PredictOptions": "imig_predict_options", "HostInfo": "imig_host_info",
             "Constants": "imig_constants", "Record": "imig_record"}
    structs = {name for name, value in vars(imig).items() if isinstance(value, type)
               and issubclass(value, imig._Struct) and value is not imig._Struct}
    assert structs == set(names), structs ^ set(names)
    lines = ["#include <imig/imig.h>"]
    for python, c in names.items():
        kind = getattr(imig, python)
        lines.append(f"_Static_assert(sizeof({c}) == {ctypes.sizeof(kind)}, \"{c}\");")
        lines += [f"_Static_assert(offsetof({c}, {field}) == {getattr(kind, field).offset}, "
                  f"\"{c}.{field}\");" for field, _ in kind._fields_]
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder) / "layout.c"
        source.write_text("\n".join(lines) + "\n")
        subprocess.run(CC + ["-std=c11", "-fsyntax-only", f"-I{TOP}/include", str(source)],
                       check=True)


def test_bits_are_those_of_the_headers():
    text = "".join((TOP / "include/imig" / name).read_text()
                   for name in ("plan.h", "cost.h", "order.h", "records.h"))
    bits = {}
    for group, bit, field in re.findall(
            r"#define IMIG_(\w+)_HAS_\w+\s+\(UINT64_C\(1\) << (\d+)\)\s+/\*\*< `(\w+)`", text):
        bits.setdefault(group, {})[int(bit)] = field
    for group, kind in (("PLAN", imig.PlanOptions), ("PROFILE", imig.MigrationProfile),
                        ("PREDICT", imig.PredictOptions), ("ORDER", imig.OrderOptions),
                        ("ORDER_PAIRS", imig.OrderPairsOptions), ("RECORD", imig.Record)):
        assert bits[group] == dict(enumerate(kind.numbers)), (group, bits[group])


def measured(plans=10, share=0.8, setup=2.0):
    records = imig.Records()
    for plan in range(plans):
        for memory in (1e9, 2e9, 4e9):
            records.add(plan=f"p{plan}", source="a", to="b", memory_bytes=memory,
                        bandwidth_bytes_per_s=1.25e8,
                        duration_s=memory * (1 + 8 / 4096) / (share * 1.25e8) + setup + plan % 3)
    return records


def test_what_was_measured_teaches():
    calibration = imig.calibrate(measured())
    learned, = calibration.constants
    assert abs(learned.link_share_ratio - 0.8) < 0.02, learned
    assert learned.migrations == 30 and learned.plans == 10 and learned.source is None
    assert imig.Calibration.from_json(calibration.to_json()).to_json() == calibration.to_json()
    plain = imig.predict(4e9, 1.25e8)
    cost = imig.predict(4e9, 1.25e8, calibration=calibration)
    assert cost.time_s > 1.1 * plain.time_s
    assert plain.time_p90_ratio == 0 and 0 < cost.time_p90_ratio < 0.15 and cost.migrations == 30
    assert "too few" in str(raises("invalid", imig.calibrate, imig.Records()))
    cluster = imig.Cluster.from_json(small_cluster())
    slower = imig.plan(cluster, calibration=calibration).steps
    assert slower[0].duration_s > imig.plan(cluster).steps[0].duration_s


def test_a_store_keeps_what_it_is_given():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "imig.db")
        raises("not-found", imig.Store, path, True)
        store = imig.Store(path)
        assert store.calibration is None and len(store.records()) == 0
        assert store.add(measured(1)) == [1, 2, 3]
        store.calibration = imig.calibrate(measured())
        again = imig.Store(path, read_only=True)
        one = list(again.records())[0]
        assert (one.source, one.to, one.outcome) == ("a", "b", "done")
        assert one.downtime_s is None and one.predicted_bytes is None and one.duration_s > 0
        assert again.calibration.to_json() == store.calibration.to_json()
        raises("invalid", imig.Records().add, memory_bytes=-1, bandwidth_bytes_per_s=1)
        store.calibration = None
        assert again.calibration is None


def test_version_is_the_project_s():
    header = (TOP / "include/imig/common.h").read_text()
    number = int(header.split("#define IMIG_VERSION ")[1].split()[0])
    assert imig.version() == f"{number // 10**6}.{number // 1000 % 1000}.{number % 1000}"


def test_cluster_there_and_back():
    cluster = imig.Cluster.from_json(small_cluster())
    assert (cluster.host_count, cluster.vm_count) == (2, 6)
    text = cluster.to_json()
    again = imig.Cluster.from_json(text)
    assert again.to_json() == text and again.sha256 == cluster.sha256
    assert json.loads(text)["vms"][3]["cpu_cores"] == 1.5
    assert cluster.find_host("h2") == 1 and cluster.host(1).id == "h2"
    assert cluster.classes() == ["cpu"] * 6


def test_bad_input_has_a_code_and_a_path():
    error = raises("syntax", imig.Cluster.from_json, '{"format": "imig-cluster/1",')
    assert "line" in str(error) or ":" in str(error)
    broken = small_cluster()
    broken["vms"][4]["host"] = "h9"
    error = raises("invalid", imig.Cluster.from_json, broken)
    assert "vms[4].host" in str(error) and "h9" in str(error), str(error)
    cluster = imig.Cluster.from_json(small_cluster())
    raises("argument", imig.plan, cluster, goal="world peace")
    raises("argument", imig.plan, cluster, threshold=math.nan)
    try:
        imig.plan(cluster, treshold=0.5)
    except TypeError as misspelt:
        assert "treshold" in str(misspelt)
    else:
        raise AssertionError("a misspelt option passes")


def test_plan_relieves_the_overloaded_host():
    cluster = imig.Cluster.from_json(small_cluster())
    plan = imig.plan(cluster, goal="relieve", threshold=0.9)
    assert plan.goal == "relieve" and plan.policy == "informed"
    assert plan.steps, "nothing moves"
    assert all(step.source == "h1" and step.to == "h2" for step in plan.steps)
    assert all(step.duration_s > 0 and step.reason_text for step in plan.steps)
    assert plan.after.loss < plan.before.loss
    assert plan.before.overloaded_hosts == 1 and plan.after.overloaded_hosts == 0
    assert plan.before.cpu_max == 6 * 1.5 / 8
    after = plan.apply(cluster)
    moved = {step.vm for step in plan.steps}
    for vm in json.loads(after.to_json())["vms"]:
        assert vm["host"] == ("h2" if vm["id"] in moved else "h1")
    assert not imig.plan(after, goal="relieve", threshold=0.9).steps


def test_plan_there_and_back():
    cluster = imig.Cluster.from_json(small_cluster())
    text = imig.plan(cluster, explain=True).to_json()
    assert imig.plan(cluster, explain=True).to_json() == text
    plan = imig.Plan.from_json(text)
    assert plan.to_json() == text
    assert plan.kept and all(code and words for _, code, words in plan.kept)
    assert len({vm for vm, _, _ in plan.kept} | {step.vm for step in plan.steps}) == 6


def test_draining_a_host_empties_it():
    cluster = imig.Cluster.from_json(small_cluster(cpu_cores=0.5))
    plan = imig.plan(cluster, goal="drain", drain=["h1"])
    assert sorted(step.vm for step in plan.steps) == [f"v{i}" for i in range(6)]


def test_an_unknown_host_or_vm_is_said_by_name():
    cluster = imig.Cluster.from_json(small_cluster())
    for error in (raises("not-found", imig.plan, cluster, goal="drain", drain=["zz"]),
                  raises("not-found", imig.predict_sequence, cluster, [("zz", "h2")]),
                  raises("not-found", cluster.find_host, "zz")):
        assert "'zz'" in error.message and error.code == -5


def test_a_search_that_is_cancelled_ends_with_the_best_so_far():
    document = small_cluster()
    document["hosts"] = [{**document["hosts"][0], "id": f"h{i}"} for i in range(1, 9)]
    document["vms"] = [{**document["vms"][0], "id": f"v{i}", "host": f"h{1 + i % 3}",
                        "cpu_cores": 0.2 + i * 7 % 11 / 10} for i in range(40)]
    cluster = imig.Cluster.from_json(document)
    whole, cancel = imig.plan(cluster), imig.Cancel()
    assert cancel.level == 0 and imig.plan(cluster, cancel=cancel).to_json() == whole.to_json()
    cancel.trigger()
    assert cancel.level == 1
    short = imig.plan(cluster, cancel=cancel)
    assert len(short.steps) < len(whole.steps) and short.after.loss > whole.after.loss
    assert imig.plan(cluster, time_limit_s=0).to_json() == short.to_json()
    assert imig.plan(cluster, time_limit_s=1e9).to_json() == whole.to_json()
    given = imig.Cancel()
    imig.plan(cluster, cancel=given, time_limit_s=0)
    assert given.level == 1
    for limit_s in (-1, math.nan):
        try:
            imig.plan(cluster, time_limit_s=limit_s)
        except ValueError as error:
            assert "time_limit_s" in str(error)
        else:
            raise AssertionError(limit_s)


def test_levelling_and_consolidating():
    cluster = imig.Cluster.from_json(small_cluster())
    plan = imig.plan(cluster, goal="level", tolerance=0.05)
    assert len(plan.steps) == 3 and plan.summary.moved_bytes == 3 * GIB
    assert abs(plan.summary.moved_bytes_bound - 3 * GIB) < 10
    assert abs(plan.summary.cpu_to_mean - 1) < 1e-9 and plan.empty_hosts == []
    cluster = imig.Cluster.from_json(small_cluster(cpu_cores=0.5))
    plan = imig.plan(cluster, goal="consolidate")
    assert not plan.steps and plan.empty_hosts == ["h2"]
    assert plan.summary.hosts_in_use == plan.summary.hosts_in_use_bound == 1
    assert imig.Plan.from_json(plan.to_json()).empty_hosts == ["h2"]
    assert plan.hosts_above == []
    plan = imig.plan(imig.Cluster.from_json(small_cluster()), goal="level", tolerance=0,
                     max_moves=0)
    assert [(host, code) for host, code, _ in plan.hosts_above] == [("h1", "budget")]
    raises("argument", imig.plan, cluster, goal="level", tolerance=-1)


def test_disks_that_are_not_shared():
    cluster = small_cluster(cpu_cores=0.5)
    for vm in cluster["vms"]:
        vm["disks"] = [{"bytes": 4 * GIB, "shared": False}]
    cluster = imig.Cluster.from_json(cluster)
    plan = imig.plan(cluster, goal="drain", drain=["h1"])
    assert not plan.steps and {code for _, code, _ in plan.kept} == {"local-disk"}
    plan = imig.plan(cluster, goal="drain", drain=["h1"], migrate_flags=imig.COPY_DISKS)
    assert len(plan.steps) == 6 and all(s.transferred_bytes > 4 * GIB for s in plan.steps)
    whole, = imig.predict_sequence(cluster, [("v0", "h2")])
    memory, = imig.predict_sequence(cluster, [("v0", "h2")], migrate_flags=imig.UNSAFE)
    assert abs(whole.transferred_bytes - memory.transferred_bytes - 4 * GIB) < 1e6


def test_predict_grows_with_memory_and_dirty_rate():
    link = 1.25e8
    idle = imig.predict(GIB, link)
    assert idle.converges and idle.time_s >= GIB / link and idle.transferred_bytes >= GIB
    assert imig.predict(2 * GIB, link).time_s > idle.time_s
    busy = imig.predict(GIB, link, 2e7, working_set_bytes=2e8, workload_class="memory-dirty")
    assert busy.time_s > idle.time_s and busy.transferred_bytes > idle.transferred_bytes
    never = imig.predict(GIB, link, 1e9, hypervisor="qemu")
    assert not never.converges
    raises("argument", imig.predict, GIB, 0.0)
    raises("argument", imig.predict, GIB, link, hypervisor="vax")


def test_predict_sequence_one_row_for_each_move():
    cluster = imig.Cluster.from_json(small_cluster())
    rows = imig.predict_sequence(cluster, [("v0", "h2"), ("v1", "h2")])
    assert len(rows) == 2 and all(row.time_s > 0 for row in rows)
    raises("argument", imig.predict_sequence, cluster, [("v0", "h1")])  # is there already


def test_order_by_names():
    assert imig.order(["net-receive", "cpu", "web-server"], [1, 9, 50], "paper") == [2, 1, 0]
    assert imig.order(["cpu", "memory-dirty"], [5, 90]) == [1, 0]
    assert imig.order(["cpu"] * 3, [3, 1, 2], "as-given") == [0, 1, 2]
    raises("argument", imig.order, ["cpu"], [1.0], "by feeling")
    raises("argument", imig.order, [99], [1.0])


def test_order_pairs_finds_the_least_sum():
    cost = [[0, 5, 1], [2, 0, 7], [4, 3, 0]]
    order, bound = imig.order_pairs(cost)
    total = sum(cost[order[i]][order[j]] for i in range(3) for j in range(i + 1, 3))
    # By hand: 012 13, 021 9, 102 10, 120 13, 201 12, 210 9; of the best two the bound is no more.
    assert total == 9 and bound <= 9, (order, bound)
    raises("argument", imig.order_pairs, [[0, math.nan], [0, 0]])


def test_affinity_of_table_2():
    matrix = imig.Affinity.default()
    assert [name.lower() for name in matrix.names] == ["milc", "bwaves", "bzip2", "libquantum",
                                                       "games"]
    shown = [round(100 * matrix.max_difference(name), 1) for name in matrix.names]
    assert shown == [25.1, 22.7, 33.6, 37.5, 3.9], shown  # its last row
    assert matrix.time("bwaves", "bwaves") == 1500
    assert abs(matrix.slowdown("bwaves", "bwaves") - (1500 / 1160 - 1)) < 1e-12
    again = imig.Affinity.from_csv(matrix.to_csv())
    assert again.to_csv() == matrix.to_csv()
    own = imig.Affinity.from_csv(",a,b\nsolo,10,20\na,15,20\nb,10,30\n")
    assert own.slowdown("a", "a") == 0.5 and own.slowdown("b", "b") == 0.5
    raises("invalid", imig.Affinity.from_csv, ",a\na,-1\n")


def test_threads_share_a_cluster():
    cluster = imig.Cluster.from_json(small_cluster())
    texts, faults = [], []

    def work():
        try:
            for _ in range(20):
                texts.append((cluster.sha256, imig.plan(cluster).to_json()))
        except Exception as fault:  # noqa: BLE001
            faults.append(fault)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults, faults
    assert len(texts) == 80 and len(set(texts)) == 1


def main():
    imig.load(LIBRARY)
    tests = [(name, function) for name, function in globals().items() if name.startswith("test_")]
    print(f"1..{len(tests)}")
    failed = 0
    for number, (name, function) in enumerate(tests, 1):
        name = name.removeprefix("test_").replace("_", " ")
        try:
            function()
            print(f"ok {number} - {name}")
        except Exception as fault:  # noqa: BLE001
            failed += 1
            print(f"not ok {number} - {name}")
            trace = fault.__traceback__
            while trace.tb_next and trace.tb_next.tb_frame.f_code.co_filename == __file__:
                trace = trace.tb_next
            print(f"# line {trace.tb_lineno}: {type(fault).__name__}: {fault}")
        sys.stdout.flush()
    return 1 if failed else 0


if __name__ == "__main__":
    os.environ.setdefault("PYTHONDONTWRITEBYTECODE", "1")
    sys.exit(main())
