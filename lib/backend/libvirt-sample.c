/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backend/libvirt-priv.h"

#include <stdlib.h>
#include <string.h>

typedef struct disk {
    char *target;
    double bytes;
    int32_t shared;
} disk;

/* One VM as a call has seen it. */
typedef struct seen {
    char uuid[VIR_UUID_STRING_BUFLEN];
    char *name;
    const char *blocked; /* a constant text, or NULL */
    uint32_t vcpus;
    int state, reason;
    double memory_bytes, balloon_bytes, unused_bytes, usable_bytes, rss_bytes; /* 0: not said */
    imig_vm_counters counters;
    GArray *disks;       /* disk */
} seen;

/* Every VM of a host. */
typedef struct sampling {
    lv_call call;
    gint64 at_us;
    GArray *vms; /* seen */
} sampling;

static void
seen_clear(void *data)
{
    seen *vm = data;

    for (guint i = 0; vm->disks && i < vm->disks->len; i++)
        g_free(g_array_index(vm->disks, disk, i).target);
    if (vm->disks)
        g_array_unref(vm->disks);
    g_free(vm->name);
}

static void
sampling_clear(lv_call *call)
{
    sampling *s = (sampling *) call;

    if (s->vms)
        g_array_unref(s->vms);
}

static double
number(const virTypedParameter *p)
{
    switch (p->type) {
    case VIR_TYPED_PARAM_INT: return p->value.i;
    case VIR_TYPED_PARAM_UINT: return p->value.ui;
    case VIR_TYPED_PARAM_LLONG: return (double) p->value.l;
    case VIR_TYPED_PARAM_ULLONG: return (double) p->value.ul;
    case VIR_TYPED_PARAM_DOUBLE: return p->value.d;
    case VIR_TYPED_PARAM_BOOLEAN: return p->value.b;
    default: return 0;
    }
}

/* Adds to a counter that is there from then on. */
static void
count(imig_vm_counters *c, uint64_t bit, double *counter, double value)
{
    *counter += value;
    c->present |= bit;
}

static void
read_number(seen *vm, const virTypedParameter *p)
{
    static const double kib = 1024;

    if (strcmp(p->field, "state.state") == 0)
        vm->state = (int) number(p);
    else if (strcmp(p->field, "state.reason") == 0)
        vm->reason = (int) number(p);
    else if (strcmp(p->field, "cpu.time") == 0)
        count(&vm->counters, IMIG_COUNTER_HAS_CPU, &vm->counters.cpu_s, number(p) * 1e-9);
    else if (strcmp(p->field, "balloon.maximum") == 0)
        vm->memory_bytes = number(p) * kib;
    else if (strcmp(p->field, "balloon.current") == 0)
        vm->balloon_bytes = number(p) * kib;
    else if (strcmp(p->field, "balloon.unused") == 0)
        vm->unused_bytes = number(p) * kib;
    else if (strcmp(p->field, "balloon.usable") == 0)
        vm->usable_bytes = number(p) * kib;
    else if (strcmp(p->field, "balloon.rss") == 0)
        vm->rss_bytes = number(p) * kib;
    else if (strcmp(p->field, "vcpu.current") == 0)
        vm->vcpus = (uint32_t) number(p);
}

/* "block.0.rd.reqs" -> its number and "rd.reqs"; NULL: another field. */
static const char *
numbered(const char *field, const char *group, guint *index)
{
    size_t length = strlen(group);
    char *rest;

    if (strncmp(field, group, length) != 0 || !g_ascii_isdigit(field[length]))
        return NULL;
    *index = (guint) g_ascii_strtoull(field + length, &rest, 10);
    return *rest == '.' ? rest + 1 : NULL;
}

static disk *
disk_at(seen *vm, guint index)
{
    if (index >= vm->disks->len)
        g_array_set_size(vm->disks, index + 1);
    return &g_array_index(vm->disks, disk, index);
}

static void
read_block(seen *vm, const virTypedParameter *p, const char *what, guint index)
{
    imig_vm_counters *c = &vm->counters;

    if (strcmp(what, "name") == 0 && p->type == VIR_TYPED_PARAM_STRING && index < 1024)
        disk_at(vm, index)->target = g_strdup(p->value.s);
    else if (strcmp(what, "capacity") == 0 && index < 1024)
        disk_at(vm, index)->bytes = number(p);
    else if (strcmp(what, "rd.reqs") == 0 || strcmp(what, "wr.reqs") == 0)
        count(c, IMIG_COUNTER_HAS_DISK_OPS, &c->disk_ops, number(p));
    else if (strcmp(what, "rd.bytes") == 0)
        count(c, IMIG_COUNTER_HAS_DISK_READ, &c->disk_read_bytes, number(p));
    else if (strcmp(what, "wr.bytes") == 0)
        count(c, IMIG_COUNTER_HAS_DISK_WRITE, &c->disk_write_bytes, number(p));
}

static void
read_net(seen *vm, const virTypedParameter *p, const char *what, gboolean host_view)
{
    imig_vm_counters *c = &vm->counters;

    if (strcmp(what, host_view ? "tx.bytes" : "rx.bytes") == 0)
        count(c, IMIG_COUNTER_HAS_NET_RX, &c->net_rx_bytes, number(p));
    else if (strcmp(what, host_view ? "rx.bytes" : "tx.bytes") == 0)
        count(c, IMIG_COUNTER_HAS_NET_TX, &c->net_tx_bytes, number(p));
}

/* Time on the queue of the host's scheduler: "delay" counts all of it, "wait" is all that older
   daemons know. */
static void
read_waiting(seen *vm, const virDomainStatsRecord *record)
{
    imig_vm_counters *c = &vm->counters;
    double delay_s = 0, wait_s = 0;
    gboolean delay = FALSE, wait = FALSE;

    for (int i = 0; i < record->nparams; i++) {
        const virTypedParameter *p = &record->params[i];
        guint index;
        const char *what = numbered(p->field, "vcpu.", &index);

        if (g_strcmp0(what, "delay") == 0) {
            delay_s += number(p) * 1e-9;
            delay = TRUE;
        } else if (g_strcmp0(what, "wait") == 0) {
            wait_s += number(p) * 1e-9;
            wait = TRUE;
        }
    }
    if (delay || wait)
        count(c, IMIG_COUNTER_HAS_CPU_WAIT, &c->cpu_wait_s, delay ? delay_s : wait_s);
}

static void
read_params(seen *vm, const virDomainStatsRecord *record, const lv_facts *facts)
{
    gboolean host_view = FALSE;

    for (int i = 0; i < record->nparams; i++) {
        const virTypedParameter *p = &record->params[i];
        guint index;
        const char *what;

        if ((what = numbered(p->field, "block.", &index))) {
            read_block(vm, p, what, index);
        } else if ((what = numbered(p->field, "net.", &index))) {
            if (strcmp(what, "name") == 0) /* comes before the counters of its device */
                host_view = p->type == VIR_TYPED_PARAM_STRING
                            && g_strv_contains((const char *const *) facts->host_view, p->value.s);
            read_net(vm, p, what, host_view);
        } else {
            read_number(vm, p);
        }
    }
    read_waiting(vm, record);
}

/* What busy VMs do not tell was told before. */
static double
disk_bytes(const disk *d, lv_facts *facts)
{
    const double *told = g_hash_table_lookup(facts->bytes, d->target);

    if (d->bytes > 0)
        g_hash_table_replace(facts->bytes, g_strdup(d->target),
                             g_memdup2(&d->bytes, sizeof d->bytes));
    return d->bytes > 0 || !told ? d->bytes : *told;
}

/* Writable disks only, and whether other hosts have them. */
static void
keep_disks(seen *vm, lv_facts *facts)
{
    guint kept = 0;

    for (guint i = 0; i < vm->disks->len; i++) {
        disk d = g_array_index(vm->disks, disk, i);
        int known = d.target ? GPOINTER_TO_INT(g_hash_table_lookup(facts->shared, d.target)) : 0;

        if (known == 0) {
            g_free(d.target);
            continue;
        }
        d.shared = known == 1;
        d.bytes = disk_bytes(&d, facts);
        g_array_index(vm->disks, disk, kept++) = d;
    }
    g_array_set_size(vm->disks, kept);
}

/* A copy that is still arriving stands still as one in hand-over does; its job knows. */
static gboolean
is_arriving(const seen *vm, virDomainPtr domain)
{
    return vm->state == VIR_DOMAIN_PAUSED
           && (vm->reason == VIR_DOMAIN_PAUSED_MIGRATION
               || vm->reason == VIR_DOMAIN_PAUSED_STARTING_UP)
           && lv_operation(domain) == VIR_DOMAIN_JOB_OPERATION_MIGRATION_IN;
}

/* FALSE: the host cannot be seen whole. */
static gboolean
see(sampling *s, const virDomainStatsRecord *record)
{
    seen vm = { .disks = g_array_new(FALSE, TRUE, sizeof(disk)) };
    lv_facts *facts = NULL;
    lv_failure failure = { IMIG_OK };

    vm.counters = (imig_vm_counters) IMIG_VM_COUNTERS_INIT;
    if (virDomainGetUUIDString(record->dom, vm.uuid) == 0)
        facts = lv_facts_get(s->call.session, record->dom, vm.uuid, FALSE, &failure);
    if (facts) {
        vm.name = g_strdup(virDomainGetName(record->dom));
        vm.vcpus = facts->vcpus;
        vm.memory_bytes = facts->memory_bytes;
        vm.blocked = facts->blocked;
        read_params(&vm, record, facts);
        keep_disks(&vm, facts);
        if (!vm.blocked && vm.state == VIR_DOMAIN_PAUSED)
            vm.blocked = "paused";
    }
    if (!facts || is_arriving(&vm, record->dom) || vm.vcpus == 0 || vm.memory_bytes <= 0)
        seen_clear(&vm); /* it has just gone, or is not here yet */
    else
        g_array_append_val(s->vms, vm);
    lv_call_goes_on(&s->call);
    if (failure.code == IMIG_OK || failure.code == IMIG_ERR_NOT_FOUND)
        return TRUE;
    s->call.failure = failure;
    return FALSE;
}

static int
sample_run(lv_call *call)
{
    static const unsigned int stats = VIR_DOMAIN_STATS_STATE | VIR_DOMAIN_STATS_CPU_TOTAL
        | VIR_DOMAIN_STATS_BALLOON | VIR_DOMAIN_STATS_VCPU | VIR_DOMAIN_STATS_INTERFACE
        | VIR_DOMAIN_STATS_BLOCK;
    sampling *s = (sampling *) call;
    virDomainStatsRecordPtr *records = NULL;
    int n = virConnectGetAllDomainStats(call->session->connection, stats, &records,
                                        VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE
                                            | VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT);

    if (n < 0)
        return lv_failure_take(&call->failure, "asking for statistics");
    s->at_us = g_get_monotonic_time();
    if (s->vms)
        g_array_unref(s->vms);
    s->vms = g_array_new(FALSE, TRUE, sizeof(seen));
    g_array_set_clear_func(s->vms, seen_clear);
    for (int i = 0; i < n && see(s, records[i]); i++)
        ;
    virDomainStatsRecordListFree(records);
    lv_facts_forget(call->session);
    return call->failure.code;
}

static void
set(imig_vm_info *vm, imig_metric metric, double *field, double value)
{
    *field = MIN(value, vm->memory_bytes);
    vm->present |= UINT64_C(1) << metric;
}

static void
fill_memory(imig_vm_info *info, const seen *vm, const lv_session *session)
{
    /* What the balloon leaves it; the definition may allow for more.  What runs here fits here, be
       it by swapping. */
    info->memory_bytes = MIN(vm->balloon_bytes > 0 ? vm->balloon_bytes : vm->memory_bytes,
                             session->memory_bytes);
    if (vm->balloon_bytes > 0 && vm->usable_bytes > 0 && vm->usable_bytes < vm->balloon_bytes)
        set(info, IMIG_METRIC_MEMORY_USED_BYTES, &info->memory_used_bytes,
            vm->balloon_bytes - vm->usable_bytes);
    if (vm->rss_bytes > 0) /* the hypervisor's own memory is in it as well */
        set(info, IMIG_METRIC_MEMORY_POPULATED_BYTES, &info->memory_populated_bytes,
            vm->rss_bytes);
    /* Zero are pages that were never touched; what the guest has free is nearly all of that. */
    if (vm->unused_bytes > 0 && vm->unused_bytes < vm->balloon_bytes)
        set(info, IMIG_METRIC_MEMORY_NONZERO_BYTES, &info->memory_nonzero_bytes,
            vm->balloon_bytes - vm->unused_bytes);
    else if (vm->rss_bytes > 0)
        set(info, IMIG_METRIC_MEMORY_NONZERO_BYTES, &info->memory_nonzero_bytes, vm->rss_bytes);
}

static int
add_vm(lv_host *host, const lv_session *session, seen *vm, double time_s, imig_sample *into,
       imig_error **error)
{
    imig_vm_info info = IMIG_VM_INFO_INIT;
    double *bytes = g_new(double, vm->disks->len + 1);
    int32_t *shared = g_new(int32_t, vm->disks->len + 1);
    int code;

    for (guint i = 0; i < vm->disks->len; i++) {
        bytes[i] = g_array_index(vm->disks, disk, i).bytes;
        shared[i] = g_array_index(vm->disks, disk, i).shared;
    }
    info.id = vm->uuid;
    info.name = vm->name;
    info.host = 0;
    info.vcpus = vm->vcpus;
    info.disk_bytes = bytes;
    info.disk_shared = shared;
    info.disk_count = vm->disks->len;
    info.blocked = lv_job_runs(host, vm->uuid) ? "being-migrated" : vm->blocked;
    fill_memory(&info, vm, session);
    vm->counters.time_s = time_s;
    code = lv_api->sample_add_vm(into, &info, &vm->counters, error);
    g_free(bytes);
    g_free(shared);
    return code;
}

static int
add_host(const lv_session *session, imig_sample *into, imig_error **error)
{
    imig_host_info info = IMIG_HOST_INFO_INIT;

    info.id = session->hostname;
    info.hypervisor = session->hypervisor;
    info.pool = session->hypervisor; /* no VM goes from one kind to another */
    info.cpu_cores = session->cpu_cores;
    info.memory_bytes = session->memory_bytes;
    if (session->net_bytes_per_s > 0) {
        info.net_bytes_per_s = session->net_bytes_per_s;
        info.present |= IMIG_HOST_HAS_NET;
    }
    return lv_api->sample_add_host(into, &info, error);
}

int
lv_sample(void *state, imig_sample *into, imig_error **error)
{
    lv_host *host = state;
    sampling *s = lv_call_new(sizeof *s, sample_run, sampling_clear);
    int code = lv_call_make(host, &s->call, error);

    if (code == IMIG_OK)
        code = add_host(s->call.session, into, error);
    for (guint i = 0; code == IMIG_OK && i < s->vms->len; i++)
        code = add_vm(host, s->call.session, &g_array_index(s->vms, seen, i),
                      host->epoch_s + (double) s->at_us / G_USEC_PER_SEC, into, error);
    lv_call_unref(&s->call);
    return code;
}
