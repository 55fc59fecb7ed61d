/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Threads share what the headers say may be shared: a finished cluster, a plan, an affinity matrix,
 * reference counts, a cancel object.  Made for ThreadSanitizer; without it a smoke test.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <glib.h>
#include <imig/imig.h>
#include <stdio.h>
#include <string.h>

enum { THREADS = 4, ROUNDS = 10, HOSTS = 8, VMS = 64 };

static imig_cluster *
make_cluster(void)
{
    imig_cluster *cluster = imig_cluster_new(0.0);

    for (unsigned i = 0; i < HOSTS; i++) {
        imig_host_info host = IMIG_HOST_INFO_INIT;
        char id[16];

        snprintf(id, sizeof id, "h%u", i);
        host.id = id;
        host.cpu_cores = 8.0;
        host.memory_bytes = 64e9;
        assert_int_equal(imig_cluster_add_host(cluster, &host, NULL), IMIG_OK);
    }
    for (unsigned i = 0; i < VMS; i++) {
        imig_vm_info vm = IMIG_VM_INFO_INIT;
        char id[16];

        snprintf(id, sizeof id, "v%u", i);
        vm.id = id;
        vm.host = i % 3; /* three hosts carry everything */
        vm.vcpus = 2;
        vm.memory_bytes = 1e9;
        vm.present = UINT64_C(1) << IMIG_METRIC_CPU_CORES;
        vm.cpu_cores = 0.1 + 0.01 * (i % 20);
        vm.workload_class = (int32_t) (i % IMIG_WORKLOAD_COUNT);
        assert_int_equal(imig_cluster_add_vm(cluster, &vm, NULL), IMIG_OK);
    }
    assert_int_equal(imig_cluster_finish(cluster, NULL), IMIG_OK);
    return cluster;
}

typedef struct shared {
    imig_cluster *cluster;
    imig_affinity *affinity;
    imig_cancel *cancel;
    imig_plan *plan;
} shared;

/* Returns the text of its plans, the same each time; NULL where something went wrong. */
static void *
plan_again_and_again(void *data)
{
    shared *s = data;
    char *first = NULL;

    for (unsigned i = 0; i < ROUNDS; i++) {
        imig_cluster *cluster = imig_cluster_ref(s->cluster);
        imig_plan_options options = IMIG_PLAN_OPTIONS_INIT;
        imig_plan *plan = NULL, *shown = imig_plan_ref(s->plan);
        imig_cluster *after = NULL;
        char *text = NULL;
        int good;

        options.affinity = s->affinity;
        options.cancel = s->cancel;
        options.explain = 1;
        good = imig_plan_make(cluster, &options, &plan, NULL) == IMIG_OK &&
               imig_plan_to_json(plan, &text, NULL, NULL) == IMIG_OK &&
               imig_plan_apply(shown, cluster, &after, NULL) == IMIG_OK &&
               imig_cluster_find_vm(cluster, "v7") == 7 &&
               strlen(imig_cluster_sha256(cluster)) == 64 && imig_cancel_level(s->cancel) == 0;
        if (!good || (first && strcmp(first, text) != 0)) {
            imig_free(text);
            g_clear_pointer(&first, imig_free);
            i = ROUNDS;
        } else if (first) {
            imig_free(text);
        } else {
            first = text;
        }
        imig_cluster_unref(after);
        imig_plan_unref(plan);
        imig_plan_unref(shown);
        imig_cluster_unref(cluster);
    }
    return first;
}

static void
threads_plan_from_one_cluster(void **state)
{
    shared s = { make_cluster(), imig_affinity_new_default(), imig_cancel_new(), NULL };
    GThread *threads[THREADS];
    char *texts[THREADS];

    (void) state;
    assert_int_equal(imig_plan_make(s.cluster, NULL, &s.plan, NULL), IMIG_OK);
    assert_true(imig_plan_step_count(s.plan) > 0);
    /* ThreadSanitizer cannot see into GLib's "once": what is computed at the first call is
       computed here.  tests/test-ctypes.py has threads that race for it. */
    assert_int_equal(imig_cluster_find_vm(s.cluster, "v7"), 7);
    assert_non_null(imig_cluster_sha256(s.cluster));

    for (unsigned i = 0; i < THREADS; i++)
        threads[i] = g_thread_new("plan", plan_again_and_again, &s);
    for (unsigned i = 0; i < THREADS; i++)
        texts[i] = g_thread_join(threads[i]);
    for (unsigned i = 0; i < THREADS; i++) {
        assert_non_null(texts[i]);
        assert_string_equal(texts[i], texts[0]);
    }
    for (unsigned i = 0; i < THREADS; i++)
        imig_free(texts[i]);
    imig_plan_unref(s.plan);
    imig_cancel_unref(s.cancel);
    imig_affinity_unref(s.affinity);
    imig_cluster_unref(s.cluster);
}

static void *
trigger(void *data)
{
    imig_cancel *cancel = data;

    imig_cancel_trigger(cancel);
    imig_cancel_unref(cancel);
    return NULL;
}

static void
any_thread_may_cancel(void **state)
{
    imig_cancel *cancel = imig_cancel_new();
    GThread *threads[THREADS];

    (void) state;
    for (unsigned i = 0; i < THREADS; i++)
        threads[i] = g_thread_new("cancel", trigger, imig_cancel_ref(cancel));
    for (unsigned i = 0; i < THREADS; i++)
        g_thread_join(threads[i]);
    assert_int_equal(imig_cancel_level(cancel), 2);
    imig_cancel_unref(cancel);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_plan_from_one_cluster),
        cmocka_unit_test(any_thread_may_cancel),
    };

    return cmocka_run_group_tests_name("threads", tests, NULL, NULL);
}
