/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backend/libvirt-priv.h"

/* What speaks against a migration, as far as the source knows. */
typedef struct asking {
    lv_call call;
    char *vm, *cpu;
    const char *blocked; /* a constant text, or NULL */
    gboolean passes_cpu, paused;
} asking;

/* Does this host have the CPU that a VM needs? */
typedef struct comparing {
    lv_call call;
    char *cpu;
    gboolean whole_host; /* the CPU is a host's own */
    int result;          /* a virCPUCompareResult */
} comparing;

static void
asking_clear(lv_call *call)
{
    g_free(((asking *) call)->vm);
    g_free(((asking *) call)->cpu);
}

static void
comparing_clear(lv_call *call)
{
    g_free(((comparing *) call)->cpu);
}

static int
ask_run(lv_call *call)
{
    asking *a = (asking *) call;
    lv_session *session = call->session;
    virDomainPtr domain = virDomainLookupByUUIDString(session->connection, a->vm);
    const lv_facts *facts;
    int state = 0;

    if (!domain)
        return lv_failure_take(&call->failure, "looking for the VM");
    facts = lv_facts_get(session, domain, a->vm, TRUE, &call->failure);
    if (facts && virDomainGetState(domain, &state, NULL, 0) < 0)
        lv_failure_take(&call->failure, "asking for its state");
    if (call->failure.code == IMIG_OK) {
        a->blocked = facts->blocked;
        a->paused = state != VIR_DOMAIN_RUNNING && state != VIR_DOMAIN_BLOCKED;
        /* An emulated CPU is the same everywhere. */
        if (!facts->emulated)
            a->cpu = g_strdup(facts->passes_cpu ? session->host_cpu : facts->cpu);
        a->passes_cpu = facts->passes_cpu;
    }
    virDomainFree(domain);
    return call->failure.code;
}

static int
compare_run(lv_call *call)
{
    comparing *c = (comparing *) call;

    /* What KVM gives is not what the bare host has: paravirtual features, those it emulates. */
    c->result = c->whole_host
                    ? virConnectCompareCPU(call->session->connection, c->cpu, 0)
                    : virConnectCompareHypervisorCPU(call->session->connection, NULL, NULL, NULL,
                                                     "kvm", c->cpu, 0);
    if (c->result == VIR_CPU_COMPARE_ERROR)
        return lv_failure_take(&call->failure, "comparing CPUs");
    return IMIG_OK;
}

static int
check_cpu(lv_host *there, const asking *a, const char *host, imig_error **error)
{
    comparing *c = lv_call_new(sizeof *c, compare_run, comparing_clear);
    int code;

    c->cpu = g_strdup(a->cpu);
    c->whole_host = a->passes_cpu;
    code = lv_call_make(there, &c->call, NULL);
    if (code == IMIG_OK && (c->result == VIR_CPU_COMPARE_INCOMPATIBLE
                            || (a->passes_cpu && c->result != VIR_CPU_COMPARE_IDENTICAL)))
        code = lv_fail(error, IMIG_ERR_UNSUPPORTED, "VM %s: the CPU of host %s is another one",
                       a->vm, host);
    else if (code != IMIG_OK) {
        /* Not all drivers compare; then libvirt itself refuses when it comes to it. */
        lv_log(IMIG_LOG_DEBUG, "VM %s: host %s cannot say whether its CPU fits", a->vm, host);
        code = IMIG_OK;
    }
    lv_call_unref(&c->call);
    return code;
}

int
lv_check(void *state, const char *vm, const char *host, imig_error **error)
{
    lv_host *here = state;
    lv_host *there = lv_host_find(here, host);
    asking *a = lv_call_new(sizeof *a, ask_run, asking_clear);
    int code;

    a->vm = g_strdup(vm);
    code = lv_call_make(here, &a->call, error);
    if (code == IMIG_OK && a->blocked)
        code = lv_fail(error, IMIG_ERR_UNSUPPORTED, "VM %s: %s", vm, a->blocked);
    else if (code == IMIG_OK && a->paused)
        code = lv_fail(error, IMIG_ERR_UNSUPPORTED, "VM %s does not run", vm);
    else if (code == IMIG_OK && a->cpu && there)
        code = check_cpu(there, a, host, error);
    if (there)
        lv_host_unref(there);
    lv_call_unref(&a->call);
    return code;
}
