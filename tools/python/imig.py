# SPDX-License-Identifier: LGPL-2.1-or-later
"""libimig for Python: which VMs move, where to, in which sequence, and what it will cost.

    import imig
    cluster = imig.Cluster.from_json(open("cluster.json").read())
    for step in imig.plan(cluster, goal="balance").steps:
        print(step.vm, step.source, "->", step.to, step.reason_text)

Pure ctypes, no compiler needed.  What fails raises ImigError with the library's code and words.
Units are SI and stand in the names.  A cluster or plan never changes, so threads may share it.
"""

import ctypes
import ctypes.util
import glob
import json
import os
import threading
from collections import namedtuple
from ctypes import (POINTER, byref, c_char_p, c_double, c_int, c_int32, c_int64, c_size_t, c_uint32,
                    c_uint64, c_void_p)

__all__ = ["Affinity", "Calibration", "Cancel", "Cluster", "ImigError", "OUTCOMES", "Plan",
           "Records", "Store", "WORKLOADS", "calibrate", "library_path", "load", "order",
           "order_pairs", "plan", "predict", "predict_sequence", "version"]

_NOT_FOUND = -5  # IMIG_ERR_NOT_FOUND
NO_HOST = 0xFFFFFFFF
WORKLOADS = ("idle", "cpu", "disk-io", "memory-dirty", "web-server", "net-receive")
OUTCOMES = ("unfinished", "done", "failed", "cancelled")
COPY_DISKS, UNSAFE = 1, 2  # of migrate_flags, IMIG_MIGRATE_*
ORDER_BY = ("time", "completion", "downtime")


class ImigError(Exception):
    """What the library said: `code` is negative, `name` such as "invalid"."""

    def __init__(self, code, name, message):
        super().__init__(message)
        self.code, self.name, self.message = code, name, message


class _Struct(ctypes.Structure):
    """Begins with its size; what is not given is zero.  Bits in `set` or `present` follow."""

    def __init__(self, **values):
        super().__init__(size=ctypes.sizeof(type(self)), **values)


class PlanOptions(_Struct):
    _fields_ = [
        ("size", c_size_t), ("set", c_uint64), ("goal", c_char_p), ("policy", c_char_p),
        ("order_policy", c_char_p), ("affinity", c_void_p), ("workload", POINTER(c_int32)),
        ("drain", POINTER(c_uint32)), ("drain_count", c_size_t), ("cancel", c_void_p),
        ("seed", c_uint64), ("threshold", c_double), ("horizon_s", c_double),
        ("gain_ratio", c_double), ("noise_ratio", c_double), ("network_price", c_double),
        ("communication_price", c_double), ("bandwidth_bytes_per_s", c_double),
        ("downtime_limit_s", c_double), ("max_bytes", c_double), ("now_s", c_double),
        ("max_moves", c_uint32), ("concurrency", c_uint32), ("max_parallel", c_uint32),
        ("spare_hosts", c_uint32), ("order_by", c_int32), ("explain", c_int32),
        ("migrate_flags", c_uint64), ("calibration", c_void_p),
        ("tolerance", c_double)]
    # In the order of the bits in `set`.
    numbers = ("threshold", "horizon_s", "gain_ratio", "noise_ratio", "network_price",
               "communication_price", "bandwidth_bytes_per_s", "downtime_limit_s", "max_bytes",
               "now_s", "max_moves", "concurrency", "max_parallel", "tolerance")


class PlanStep(_Struct):
    _fields_ = [
        ("size", c_size_t), ("vm", c_char_p), ("from", c_char_p), ("to", c_char_p),
        ("reason_code", c_char_p), ("reason_text", c_char_p), ("start_s", c_double),
        ("duration_s", c_double), ("downtime_s", c_double), ("transferred_bytes", c_double),
        ("slowdown_ratio", c_double), ("gain", c_double), ("group", c_uint32),
        ("rounds", c_uint32), ("converges", c_int32), ("reserved", c_int32)]


class PlanTotals(_Struct):
    _fields_ = [
        ("size", c_size_t), ("loss", c_double), ("contention", c_double),
        ("interference", c_double), ("communication", c_double), ("cpu_max", c_double),
        ("cpu_mean", c_double), ("cpu_stddev", c_double), ("memory_max", c_double),
        ("memory_stddev", c_double), ("overloaded_hosts", c_uint32), ("reserved", c_uint32)]


class PlanSummary(_Struct):
    _fields_ = [
        ("size", c_size_t), ("migration_loss", c_double), ("loss_bound", c_double),
        ("gap_ratio", c_double), ("makespan_s", c_double), ("makespan_bound_s", c_double),
        ("complete", c_int32), ("reserved", c_int32), ("moved_bytes", c_double),
        ("moved_bytes_bound", c_double), ("cpu_to_mean", c_double), ("memory_to_mean", c_double),
        ("hosts_in_use", c_uint32), ("hosts_in_use_bound", c_uint32)]


class MigrationProfile(_Struct):
    _fields_ = [
        ("size", c_size_t), ("present", c_uint64), ("hypervisor", c_char_p),
        ("memory_bytes", c_double), ("bandwidth_bytes_per_s", c_double),
        ("dirty_bytes_per_s", c_double), ("working_set_bytes", c_double),
        ("memory_nonzero_bytes", c_double), ("memory_populated_bytes", c_double),
        ("disk_bytes", c_double), ("downtime_limit_s", c_double), ("writes", c_int32),
        ("workload_class", c_int32), ("constants", c_void_p)]
    numbers = ("working_set_bytes", "memory_nonzero_bytes", "memory_populated_bytes",
               "downtime_limit_s")


class Cost(_Struct):
    _fields_ = [
        ("size", c_size_t), ("time_s", c_double), ("downtime_s", c_double),
        ("transferred_bytes", c_double), ("slowdown_ratio", c_double), ("rounds", c_uint32),
        ("converges", c_int32), ("time_p50_ratio", c_double), ("time_p90_ratio", c_double),
        ("downtime_p50_ratio", c_double), ("downtime_p90_ratio", c_double),
        ("bytes_p50_ratio", c_double), ("bytes_p90_ratio", c_double), ("unlike", c_double),
        ("migrations", c_uint32), ("reserved", c_uint32)]


class Constants(_Struct):
    _fields_ = [("size", c_size_t), ("hypervisor", c_char_p), ("from", c_char_p),
                ("to", c_char_p)] + [(name, c_double) for name in (
                    "link_share_ratio", "setup_s", "downtime_s", "dirty_ratio",
                    "receive_hold_ratio", "dirty_hold_ratio", "time_p50_ratio", "time_p90_ratio",
                    "downtime_p50_ratio", "downtime_p90_ratio", "bytes_p50_ratio",
                    "bytes_p90_ratio", "assumed_time_p50_ratio", "assumed_time_p90_ratio",
                    "memory_low_bytes", "memory_high_bytes", "bandwidth_low_bytes_per_s",
                    "bandwidth_high_bytes_per_s", "dirty_low_bytes_per_s",
                    "dirty_high_bytes_per_s")] + [("migrations", c_uint32), ("plans", c_uint32)]
    numbers = ()


class Record(_Struct):
    _fields_ = [("size", c_size_t), ("present", c_uint64), ("id", c_int64)] + [
        (name, c_char_p) for name in ("run", "plan", "vm", "vm_name", "from", "to", "hypervisor",
                                      "message")] + [
        (name, c_double) for name in (
            "start_s", "memory_bytes", "bandwidth_bytes_per_s", "dirty_bytes_per_s",
            "working_set_bytes", "memory_nonzero_bytes", "memory_populated_bytes", "disk_bytes",
            "downtime_limit_s", "from_link_bytes_per_s", "to_link_bytes_per_s", "from_cpu_ratio",
            "from_dirty_ratio", "predicted_s", "predicted_downtime_s", "predicted_bytes",
            "duration_s", "downtime_s", "transferred_bytes")] + [
        ("writes", c_int32), ("workload_class", c_int32), ("outcome", c_int32),
        ("rounds", c_uint32), ("learned_from", c_uint32), ("reserved", c_uint32)]
    # In the order of the bits in `present`; three belong to "predicted_s".
    numbers = ("dirty_bytes_per_s", "working_set_bytes", "memory_nonzero_bytes",
               "memory_populated_bytes", "downtime_limit_s", "from_link_bytes_per_s",
               "to_link_bytes_per_s", "predicted_s", "duration_s", "downtime_s",
               "transferred_bytes", "start_s")


class OrderOptions(_Struct):
    _fields_ = [
        ("size", c_size_t), ("policy", c_char_p), ("set", c_uint64), ("downtime_price", c_double),
        ("source", POINTER(c_uint32)), ("destination", POINTER(c_uint32)),
        ("hold_source", POINTER(c_double)), ("hold_destination", POINTER(c_double)),
        ("downtime_s", POINTER(c_double)), ("memory_bytes", POINTER(c_double)),
        ("prefer", POINTER(c_int32)), ("seed", c_uint64), ("order_by", c_int32),
        ("reserved", c_int32)]
    numbers = ("downtime_price",)


class OrderPairsOptions(_Struct):
    _fields_ = [("size", c_size_t), ("set", c_uint64), ("effort", c_uint64), ("seed", c_uint64)]
    numbers = ("effort",)


class PredictOptions(_Struct):
    _fields_ = [("size", c_size_t), ("set", c_uint64), ("bandwidth_bytes_per_s", c_double),
                ("downtime_limit_s", c_double), ("migrate_flags", c_uint64),
                ("calibration", c_void_p)]
    numbers = ("bandwidth_bytes_per_s", "downtime_limit_s")


class HostInfo(_Struct):
    _fields_ = [
        ("size", c_size_t), ("present", c_uint64), ("id", c_char_p), ("name", c_char_p),
        ("pool", c_char_p), ("hypervisor", c_char_p), ("labels", POINTER(c_char_p)),
        ("label_count", c_uint32), ("state", c_int32), ("cpu_cores", c_double),
        ("memory_bytes", c_double), ("memory_overcommit_ratio", c_double),
        ("reserved_memory_bytes", c_double), ("vm_overhead_bytes", c_double),
        ("disk_ops_per_s", c_double), ("net_bytes_per_s", c_double),
        ("migration_bytes_per_s", c_double)]


_library = None

# name: result, arguments before the error.  "status" returns a code and takes an error last.
_CALLS = {
    "version": (c_char_p,),
    "free": (None, c_void_p),
    "errcode_name": (c_char_p, c_int),
    "error_message": (c_char_p, c_void_p),
    "error_free": (None, c_void_p),
    "cluster_from_json": ("status", c_char_p, c_size_t, POINTER(c_void_p)),
    "cluster_to_json": ("status", c_void_p, POINTER(c_void_p), POINTER(c_size_t)),
    "cluster_sha256": (c_char_p, c_void_p),
    "cluster_host_count": (c_size_t, c_void_p),
    "cluster_vm_count": (c_size_t, c_void_p),
    "cluster_find_host": (c_uint32, c_void_p, c_char_p),
    "cluster_find_vm": (c_uint32, c_void_p, c_char_p),
    "cluster_get_host": ("status", c_void_p, c_uint32, POINTER(HostInfo)),
    "cluster_unref": (None, c_void_p),
    "cancel_new": (c_void_p,),
    "cancel_trigger": (None, c_void_p),
    "cancel_level": (c_int, c_void_p),
    "cancel_unref": (None, c_void_p),
    "classify": ("status", c_void_p, c_void_p, POINTER(c_int32)),
    "plan_make": ("status", c_void_p, POINTER(PlanOptions), POINTER(c_void_p)),
    "plan_from_json": ("status", c_char_p, c_size_t, POINTER(c_void_p)),
    "plan_to_json": ("status", c_void_p, POINTER(c_void_p), POINTER(c_size_t)),
    "plan_goal": (c_char_p, c_void_p),
    "plan_policy": (c_char_p, c_void_p),
    "plan_step_count": (c_size_t, c_void_p),
    "plan_get_step": ("status", c_void_p, c_size_t, POINTER(PlanStep)),
    "plan_kept_count": (c_size_t, c_void_p),
    "plan_get_kept": ("status", c_void_p, c_size_t, POINTER(c_char_p), POINTER(c_char_p),
                      POINTER(c_char_p)),
    "plan_empty_host_count": (c_size_t, c_void_p),
    "plan_empty_host": (c_char_p, c_void_p, c_size_t),
    "plan_above_count": (c_size_t, c_void_p),
    "plan_get_above": ("status", c_void_p, c_size_t, POINTER(c_char_p), POINTER(c_char_p),
                       POINTER(c_char_p)),
    "plan_get_totals": ("status", c_void_p, POINTER(PlanTotals), POINTER(PlanTotals)),
    "plan_get_summary": ("status", c_void_p, POINTER(PlanSummary)),
    "plan_apply": ("status", c_void_p, c_void_p, POINTER(c_void_p)),
    "plan_unref": (None, c_void_p),
    "predict": ("status", POINTER(MigrationProfile), POINTER(Cost)),
    "predict_sequence": ("status", c_void_p, c_void_p, POINTER(c_uint32), POINTER(c_uint32),
                         c_size_t, POINTER(PredictOptions), POINTER(c_double), POINTER(c_double),
                         POINTER(c_double), POINTER(c_double), POINTER(c_int32)),
    "calibrate": ("status", c_void_p, POINTER(c_void_p)),
    "calibration_from_json": ("status", c_char_p, c_size_t, POINTER(c_void_p)),
    "calibration_to_json": ("status", c_void_p, POINTER(c_void_p), POINTER(c_size_t)),
    "calibration_count": (c_size_t, c_void_p),
    "calibration_get": ("status", c_void_p, c_size_t, POINTER(Constants)),
    "calibration_find": ("status", c_void_p, c_char_p, c_char_p, c_char_p, POINTER(Constants)),
    "calibration_unref": (None, c_void_p),
    "records_new": (c_void_p,),
    "records_add": ("status", c_void_p, POINTER(Record)),
    "records_count": (c_size_t, c_void_p),
    "records_get": ("status", c_void_p, c_size_t, POINTER(Record)),
    "records_free": (None, c_void_p),
    "store_open": ("status", c_char_p, c_uint64, POINTER(c_void_p)),
    "store_add": ("status", c_void_p, c_void_p, POINTER(c_int64)),
    "store_records": ("status", c_void_p, c_void_p, POINTER(c_void_p)),
    "store_constants": ("status", c_void_p, POINTER(c_void_p)),
    "store_set_constants": ("status", c_void_p, c_char_p),
    "store_close": (None, c_void_p),
    "order": ("status", POINTER(c_int32), POINTER(c_double), c_size_t, POINTER(OrderOptions),
              POINTER(c_uint32)),
    "order_pairs": ("status", POINTER(c_double), c_size_t, POINTER(OrderPairsOptions),
                    POINTER(c_uint32), POINTER(c_double)),
    "affinity_new_default": (c_void_p,),
    "affinity_from_csv": ("status", c_char_p, c_size_t, POINTER(c_void_p)),
    "affinity_to_csv": ("status", c_void_p, POINTER(c_void_p)),
    "affinity_count": (c_size_t, c_void_p),
    "affinity_name": (c_char_p, c_void_p, c_size_t),
    "affinity_max_difference": (c_double, c_void_p, c_size_t),
    "affinity_slowdown": (c_double, c_void_p, c_char_p, c_int32, c_char_p, c_int32),
    "affinity_time": (c_double, c_void_p, c_char_p, c_char_p),
    "affinity_unref": (None, c_void_p),
}


def load(path=None):
    """Load the library: the given file, else the one installed with this module, else one that
    the system finds, else one built in this tree."""
    global _library
    here = os.path.dirname(os.path.abspath(__file__))
    if path is None and here.endswith(os.path.join("share", "imig", "python")):
        prefix = os.path.normpath(os.path.join(here, "..", "..", ".."))
        path = next((found for pattern in ("lib*", os.path.join("lib", "*")) for found in
                     glob.glob(os.path.join(prefix, pattern, "libimig.so.0"))), None)
    if path is None:
        path = ctypes.util.find_library("imig")
    if path is None:
        top = os.path.normpath(os.path.join(here, "..", ".."))
        built = sorted(glob.glob(os.path.join(top, "build*", "lib", "libimig.so.0")) +
                       glob.glob(os.path.join(top, "build*", "*", "lib", "libimig.so.0")))
        if not built:
            raise OSError("libimig.so.0 is neither installed nor built here; give load() its path")
        path = built[0]
    library = ctypes.CDLL(path)
    for name, (result, *arguments) in _CALLS.items():
        function = getattr(library, "imig_" + name)
        if result == "status":
            result, arguments = c_int, arguments + [POINTER(c_void_p)]
        function.restype, function.argtypes = result, arguments
    _library = library
    return library


def _call(name, *arguments):
    """Call imig_NAME; for those that can fail, raise what it says."""
    library = _library or load()
    function = getattr(library, "imig_" + name)
    if _CALLS[name][0] != "status":
        return function(*arguments)
    error = c_void_p()
    code = function(*arguments, byref(error))
    if code:
        message = library.imig_error_message(error).decode()
        library.imig_error_free(error)
        raise ImigError(code, library.imig_errcode_name(code).decode(), message)
    return None


def _found(index, what, name):
    """An index that a find function gave."""
    if index == NO_HOST:
        raise ImigError(_NOT_FOUND, _call("errcode_name", _NOT_FOUND).decode(),
                        f"no {what} {name!r}")
    return index


def _bytes(text):
    return text.encode() if isinstance(text, str) else text


def _array(kind, values):
    return None if values is None else (kind * len(values))(*values)


def _taken(pointer):
    """The text behind a pointer that was given away, which goes back."""
    text = ctypes.string_at(pointer).decode()
    _call("free", pointer)
    return text


def _options(kind, bits, values):
    """A struct of options; for every number that is given its bit counts."""
    options = kind()
    known = {field[0] for field in kind._fields_} - {"size", "set", "present", "reserved"}
    for key, value in values.items():
        if key not in known:
            raise TypeError(f"no option {key!r}")
        if value is None:
            continue
        setattr(options, key, _bytes(value))
        if key in kind.numbers:
            setattr(options, bits, getattr(options, bits) | 1 << kind.numbers.index(key))
    return options


def _tuple(name, struct):
    """Plain Python values of a struct that the library filled."""
    keys = [key for key, _ in struct._fields_ if key not in ("size", "reserved")]
    plain = [getattr(struct, key) for key in keys]
    kind = namedtuple(name, ["source" if key == "from" else key for key in keys])
    return kind(*(value.decode() if isinstance(value, bytes) else value for value in plain))


def _class(value):
    """A class by its name or number; None is unknown."""
    if value is None:
        return -1
    return WORKLOADS.index(value) if isinstance(value, str) else value


def version():
    """The version of the library that is running."""
    return _call("version").decode()


def library_path():
    """The file that is loaded, as load() found it."""
    return (_library or load())._name


class _Object:
    """Owns one reference."""
    _unref = None

    def __init__(self, pointer):
        self._as_parameter_ = self._pointer = pointer

    def __del__(self):
        if getattr(self, "_pointer", None) and _library:
            getattr(_library, "imig_" + self._unref)(self._pointer)

    @classmethod
    def _made(cls, name, *arguments):
        pointer = c_void_p()
        _call(name, *arguments, byref(pointer))
        return cls(pointer)

    @classmethod
    def _read(cls, name, text):
        text = _bytes(text)
        return cls._made(name, text, len(text))


class Cluster(_Object):
    """A snapshot of hosts, VMs, flows and rules."""
    _unref = "cluster_unref"

    @classmethod
    def from_json(cls, text):
        """Read an imig-cluster/1 document: str or bytes, or the dict it stands for."""
        return cls._read("cluster_from_json", json.dumps(text) if isinstance(text, dict) else text)

    def to_json(self):
        """Write an imig-cluster/1 document: same content, same bytes."""
        text = c_void_p()
        _call("cluster_to_json", self, byref(text), None)
        return _taken(text)

    @property
    def sha256(self):
        return _call("cluster_sha256", self).decode()

    @property
    def host_count(self):
        return _call("cluster_host_count", self)

    @property
    def vm_count(self):
        return _call("cluster_vm_count", self)

    def find_host(self, name):
        """Index of the host with this id; ImigError "not-found" where there is none."""
        return _found(_call("cluster_find_host", self, _bytes(name)), "host", name)

    def find_vm(self, name):
        """Index of the VM with this id or name; ImigError "not-found" where there is none."""
        return _found(_call("cluster_find_vm", self, _bytes(name)), "VM", name)

    def host(self, index):
        """What is known of a host, as a tuple with names."""
        info = HostInfo()
        _call("cluster_get_host", self, index, byref(info))
        return _tuple("Host", info)

    def classes(self):
        """The class of every VM by name: stated, or found from its measurements."""
        found = (c_int32 * self.vm_count)()
        _call("classify", self, None, found)
        return [WORKLOADS[number] for number in found]


class Cancel(_Object):
    """Ends the search of plan() early, with the best so far; for any thread."""
    _unref = "cancel_unref"

    def __init__(self):
        super().__init__(c_void_p(_call("cancel_new")))

    def trigger(self):
        """Ask to stop; for good."""
        _call("cancel_trigger", self)

    @property
    def level(self):
        """How often it was triggered."""
        return _call("cancel_level", self)


class Affinity(_Object):
    """How much each workload slows each other one on the same host."""
    _unref = "affinity_unref"

    @classmethod
    def default(cls):
        """The matrix derived from the paper."""
        return cls(c_void_p(_call("affinity_new_default")))

    @classmethod
    def from_csv(cls, text):
        """Read an imig-affinity/1 table."""
        return cls._read("affinity_from_csv", text)

    def to_csv(self):
        text = c_void_p()
        _call("affinity_to_csv", self, byref(text))
        return _taken(text)

    @property
    def names(self):
        return [_call("affinity_name", self, i).decode()
                for i in range(_call("affinity_count", self))]

    def max_difference(self, name):
        """How far the times of a column differ, (max - min) / max."""
        return _call("affinity_max_difference", self, self.names.index(name))

    def time(self, row, column):
        """The running time of the column's workload beside the row's; NaN where not known."""
        return _call("affinity_time", self, _bytes(row), _bytes(column))

    def slowdown(self, victim, neighbour, victim_class=None, neighbour_class=None):
        """What a VM loses beside a neighbour, by workload, then by class: 0.33 is a third."""
        return _call("affinity_slowdown", self, _bytes(victim), _class(victim_class),
                     _bytes(neighbour), _class(neighbour_class))


class Plan(_Object):
    """Which VMs move, where to and when; see plan()."""
    _unref = "plan_unref"

    @classmethod
    def from_json(cls, text):
        """Read an imig-plan/1 document."""
        return cls._read("plan_from_json", text)

    def to_json(self):
        """Write an imig-plan/1 document: same content, same bytes."""
        text = c_void_p()
        _call("plan_to_json", self, byref(text), None)
        return _taken(text)

    @property
    def goal(self):
        return _call("plan_goal", self).decode()

    @property
    def policy(self):
        return _call("plan_policy", self).decode()

    @property
    def steps(self):
        """The migrations in starting order; `source` is where the VM leaves."""
        steps = []
        for index in range(_call("plan_step_count", self)):
            step = PlanStep()
            _call("plan_get_step", self, index, byref(step))
            steps.append(_tuple("Step", step))
        return steps

    @property
    def kept(self):
        """(vm, code, text) of the VMs that stay and say why."""
        return self._reasons("plan_kept_count", "plan_get_kept")

    @property
    def hosts_above(self):
        """(host, code, text) of the hosts that stay above their limits (goal "level")."""
        return self._reasons("plan_above_count", "plan_get_above")

    def _reasons(self, count, get):
        reasons = []
        for index in range(_call(count, self)):
            texts = [c_char_p() for _ in range(3)]
            _call(get, self, index, *(byref(text) for text in texts))
            reasons.append(tuple(text.value.decode() for text in texts))
        return reasons

    @property
    def empty_hosts(self):
        """Ids of the hosts that could be switched off (goal "consolidate")."""
        return [_call("plan_empty_host", self, index).decode()
                for index in range(_call("plan_empty_host_count", self))]

    def _totals(self):
        before, after = PlanTotals(), PlanTotals()
        _call("plan_get_totals", self, byref(before), byref(after))
        return _tuple("Totals", before), _tuple("Totals", after)

    @property
    def before(self):
        return self._totals()[0]

    @property
    def after(self):
        return self._totals()[1]

    @property
    def summary(self):
        summary = PlanSummary()
        _call("plan_get_summary", self, byref(summary))
        return _tuple("Summary", summary)

    def apply(self, cluster):
        """The cluster as it will be after this plan."""
        return Cluster._made("plan_apply", self, cluster)


class Calibration(_Object):
    """Learned constants of the cost model."""
    _unref = "calibration_unref"

    @classmethod
    def from_json(cls, text):
        """Read an imig-constants/1 document."""
        return cls._read("calibration_from_json", text)

    def to_json(self):
        """Write an imig-constants/1 document: same content, same bytes."""
        text = c_void_p()
        _call("calibration_to_json", self, byref(text), None)
        return _taken(text)

    @property
    def constants(self):
        """All sets; `source` is the host they hold from."""
        found = []
        for index in range(_call("calibration_count", self)):
            constants = Constants()
            _call("calibration_get", self, index, byref(constants))
            found.append(_tuple("Constants", constants))
        return found


class Records(_Object):
    """Migrations that were recorded: what was known before, predicted, and measured."""
    _unref = "records_free"

    def __init__(self, pointer=None):
        super().__init__(pointer or c_void_p(_call("records_new")))

    def add(self, *, workload_class=None, outcome=None, **values):
        """Append one; fields as imig_record has them, `source` for `from`."""
        if "source" in values:
            values["from"] = values.pop("source")
        record = _options(Record, "present", values)
        record.workload_class = _class(workload_class)
        if outcome is None:
            outcome = "done" if values.get("duration_s") is not None else "unfinished"
        record.outcome = OUTCOMES.index(outcome)
        _call("records_add", self, byref(record))

    def __len__(self):
        return _call("records_count", self)

    def __iter__(self):
        """Each as a tuple; what is not known is None."""
        for index in range(len(self)):
            record = Record()
            _call("records_get", self, index, byref(record))
            plain = _tuple("Record", record)
            absent = {name: None for bit, name in enumerate(Record.numbers)
                      if not record.present >> bit & 1}
            if "predicted_s" in absent:
                absent.update(predicted_downtime_s=None, predicted_bytes=None)
            yield plain._replace(outcome=OUTCOMES[record.outcome], **absent)


def calibrate(records):
    """Learn the constants of the cost model from Records."""
    return Calibration._made("calibrate", records)


class Store(_Object):
    """History and learned constants: one SQLite file."""
    _unref = "store_close"

    def __init__(self, path, read_only=False):
        pointer = c_void_p()
        _call("store_open", _bytes(path), int(read_only), byref(pointer))
        super().__init__(pointer)

    def add(self, records):
        """Write all of them or none; returns their ids there."""
        ids = (c_int64 * max(len(records), 1))()
        _call("store_add", self, records, ids)
        return list(ids)[:len(records)]

    def records(self):
        """All of them, in the order in which they began."""
        return Records._made("store_records", self, None)

    @property
    def calibration(self):
        """What was learned; None where nothing was."""
        text = c_void_p()
        _call("store_constants", self, byref(text))
        return Calibration.from_json(_taken(text)) if text else None

    @calibration.setter
    def calibration(self, calibration):
        _call("store_set_constants", self,
              None if calibration is None else _bytes(calibration.to_json()))


def _begin_timer(limit_s, cancel):
    """The library has no clock: a thread looks at one.  None where the time is over already."""
    if not limit_s >= 0:
        raise ValueError(f"time_limit_s: {limit_s}: must be >= 0")
    if limit_s == 0:
        cancel.trigger()
        return None
    timer = threading.Timer(min(limit_s, threading.TIMEOUT_MAX), cancel.trigger)
    timer.daemon = True
    timer.start()
    return timer


def plan(cluster, goal=None, policy=None, *, affinity=None, drain=(), order_by="time",
         explain=False, classes=None, calibration=None, cancel=None, time_limit_s=None,
         **numbers):
    """Decide which VMs move, where and when.

    drain: ids of the hosts to empty (goal "drain").  classes: one for each VM, name or number.
    cancel: a Cancel that ends the search with the best so far; time_limit_s triggers it, or one of
    its own, after so long: such a plan depends on the speed of the machine.
    numbers: threshold, tolerance, horizon_s, gain_ratio, max_moves, concurrency, seed, ... as
    imig_plan_options has them; what is not given has the library's default.
    """
    options = _options(PlanOptions, "set", {"goal": goal, "policy": policy, **numbers})
    options.affinity = affinity._pointer if affinity else None
    options.calibration = calibration._pointer if calibration else None
    hosts = _array(c_uint32, [cluster.find_host(name) for name in drain])
    options.drain, options.drain_count = hosts, len(hosts)
    if classes is not None:
        if len(classes) != cluster.vm_count:
            raise ValueError("one class for each VM")
        options.workload = _array(c_int32, [_class(value) for value in classes])
    options.order_by = ORDER_BY.index(order_by)
    options.explain = int(explain)
    timer = None
    if time_limit_s is not None:
        cancel = cancel or Cancel()
        timer = _begin_timer(time_limit_s, cancel)
    options.cancel = cancel._pointer if cancel else None
    try:
        return Plan._made("plan_make", cluster, byref(options))
    finally:
        if timer:
            timer.cancel()


def predict(memory_bytes, bandwidth_bytes_per_s, dirty_bytes_per_s=0.0, *, workload_class=None,
            calibration=None, **profile):
    """What one migration costs over a link of its own: time_s, downtime_s, transferred_bytes, ...

    calibration: learned constants; then the cost has errors, such as time_p90_ratio.
    profile: working_set_bytes, downtime_limit_s, hypervisor, ... as imig_migration_profile has
    them.
    """
    given = _options(MigrationProfile, "present", {
        "memory_bytes": memory_bytes, "bandwidth_bytes_per_s": bandwidth_bytes_per_s,
        "dirty_bytes_per_s": dirty_bytes_per_s, **profile})
    given.workload_class = _class(workload_class)
    constants = Constants()
    if calibration:
        _call("calibration_find", calibration, given.hypervisor, None, None, byref(constants))
        given.constants = ctypes.addressof(constants)
    cost = Cost()
    _call("predict", byref(given), byref(cost))
    return _tuple("Cost", cost)


def predict_sequence(cluster, moves, *, calibration=None, **options):
    """What migrations cost one after the other; moves: (VM id, host id) in sequence."""
    n = len(moves)
    vms = _array(c_uint32, [cluster.find_vm(vm) for vm, _ in moves])
    hosts = _array(c_uint32, [cluster.find_host(host) for _, host in moves])
    time_s, downtime_s, transferred, slowdown = ((c_double * n)() for _ in range(4))
    converges = (c_int32 * n)()
    given = _options(PredictOptions, "set", options)
    given.calibration = calibration._pointer if calibration else None
    _call("predict_sequence", cluster, None, vms, hosts, n, byref(given), time_s, downtime_s,
          transferred, slowdown, converges)
    kind = namedtuple("Predicted",
                      "time_s downtime_s transferred_bytes slowdown_ratio converges")
    return [kind(*row) for row in zip(time_s, downtime_s, transferred, slowdown, converges)]


def order(classes, predicted_s, policy=None, *, order_by="time", source=None, destination=None,
          hold_source=None, hold_destination=None, downtime_s=None, memory_bytes=None, prefer=None,
          **numbers):
    """Positions in the sequence that disturbs the neighbours least, first to migrate first."""
    n = len(classes)
    arrays = {"source": (c_uint32, source), "destination": (c_uint32, destination),
              "hold_source": (c_double, hold_source), "prefer": (c_int32, prefer),
              "hold_destination": (c_double, hold_destination),
              "downtime_s": (c_double, downtime_s), "memory_bytes": (c_double, memory_bytes)}
    for name, values in [("predicted_s", predicted_s)] + [(k, v) for k, (_, v) in arrays.items()]:
        if values is not None and len(values) != n:
            raise ValueError(f"{name} has {len(values)} values for {n} VMs")
    options = _options(OrderOptions, "set", {"policy": policy, **numbers})
    for name, (kind, values) in arrays.items():
        setattr(options, name, _array(kind, values))
    options.order_by = ORDER_BY.index(order_by)
    result = (c_uint32 * n)()
    _call("order", _array(c_int32, [_class(value) for value in classes]),
          _array(c_double, predicted_s), n, byref(options), result)
    return list(result)


def order_pairs(cost, **options):
    """The linear ordering problem: (order, bound) for rows where cost[i][j] has i before j."""
    n = len(cost)
    if any(len(row) != n for row in cost):
        raise ValueError("as many columns as rows")
    result, bound = (c_uint32 * n)(), c_double()
    given = _options(OrderPairsOptions, "set", options)
    _call("order_pairs", _array(c_double, [value for row in cost for value in row]), n,
          byref(given), result, byref(bound))
    return list(result), bound.value
