/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib.h>
#include <glib/gstdio.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "build.h"

/*
 * A host with one core that two VMs want three of, beside one with four: both dirty memory, at a
 * third of what they would, and send.
 */
static imig_cluster *
new_cluster(void)
{
    imig_cluster *cluster = imig_cluster_new(0);
    imig_vm_info vm = a_vm("a", 0, 2, 1, IMIG_WORKLOAD_MEMORY_DIRTY);

    add_host(cluster, "short", 1, 8);
    add_host(cluster, "wide", 4, 8);
    vm.present |= METRIC(IMIG_METRIC_DIRTY_BYTES_PER_S) | METRIC(IMIG_METRIC_WORKING_SET_BYTES)
                  | METRIC(IMIG_METRIC_NET_TX_BYTES_PER_S);
    vm.dirty_bytes_per_s = 1e7;
    vm.working_set_bytes = 5e7;
    vm.net_tx_bytes_per_s = 2e7;
    put_vm(cluster, &vm);
    vm.id = "b";
    vm.cpu_cores = 1;
    vm.dirty_bytes_per_s = 5e6;
    put_vm(cluster, &vm);
    add_vm(cluster, "unseen", 0, 0, 1, IMIG_WORKLOAD_CPU);
    assert_int_equal(imig_cluster_finish(cluster, NULL), IMIG_OK);
    return cluster;
}

typedef struct fixture {
    char *folder, *path;
    imig_store *store;
    imig_cluster *cluster;
    imig_recorder *recorder;
} fixture;

static fixture
begin(const imig_execute_options *options)
{
    fixture f = { .folder = g_dir_make_tmp("imig-recorder-XXXXXX", NULL) };

    f.path = g_build_filename(f.folder, "imig.db", NULL);
    f.cluster = new_cluster();
    assert_int_equal(imig_store_open(f.path, 0, &f.store, NULL), IMIG_OK);
    assert_int_equal(imig_recorder_new(f.store, f.cluster, NULL, options, &f.recorder, NULL),
                     IMIG_OK);
    return f;
}

static void
end(fixture *f)
{
    g_autoptr(GDir) dir = g_dir_open(f->folder, 0, NULL);
    const char *name;

    imig_recorder_free(f->recorder);
    imig_cluster_unref(f->cluster);
    imig_store_close(f->store);
    while ((name = g_dir_read_name(dir))) {
        g_autofree char *file = g_build_filename(f->folder, name, NULL);

        g_unlink(file);
    }
    g_rmdir(f->folder);
    g_free(f->folder);
    g_free(f->path);
}

static imig_records *
read_all(const fixture *f)
{
    imig_records *records = NULL;

    assert_int_equal(imig_store_records(f->store, NULL, &records, NULL), IMIG_OK);
    return records;
}

/* The only one of this VM. */
static imig_record
record_of(imig_records *records, const char *vm)
{
    imig_record found = { 0 };
    int count = 0;

    for (size_t i = 0; i < imig_records_count(records); i++) {
        imig_record record = IMIG_RECORD_INIT;

        assert_int_equal(imig_records_get(records, i, &record, NULL), IMIG_OK);
        if (strcmp(record.vm, vm) != 0)
            continue;
        found = record;
        count++;
    }
    assert_int_equal(count, 1);
    return found;
}

static imig_step_report
report_of(uint32_t step, const char *vm, int32_t state)
{
    imig_step_report report = IMIG_STEP_REPORT_INIT;

    report.step = step;
    report.vm = vm;
    report.from = "short";
    report.to = "wide";
    report.message = "";
    report.state = state;
    report.attempts = 1;
    report.start_s = step;
    report.predicted_s = 20;
    report.predicted_downtime_s = 0.3;
    report.predicted_bytes = 1.2e9;
    if (state == IMIG_STEP_DONE) {
        report.present = IMIG_JOB_HAS_DOWNTIME | IMIG_JOB_HAS_TRANSFERRED;
        report.measured_s = 21;
        report.measured_downtime_s = 0.4;
        report.measured_bytes = 1.1e9;
        report.rounds = 5;
    }
    return report;
}

static void
tell(const fixture *f, uint32_t step, const char *vm, int32_t state)
{
    imig_step_report report = report_of(step, vm, state);

    assert_int_equal(imig_recorder_step(f->recorder, &report, NULL), IMIG_OK);
}

static void
assert_near(double got, double want)
{
    if (!(fabs(got - want) <= fabs(want) * 1e-9))
        fail_msg("%.12g is not %.12g", got, want);
}

static void
a_migration_is_there_from_its_beginning(void **state)
{
    fixture f = begin(NULL);
    imig_records *records;
    imig_record record;

    (void) state;
    tell(&f, 0, "a", IMIG_STEP_RUNNING);
    records = read_all(&f);
    record = record_of(records, "a");
    assert_int_equal(record.outcome, IMIG_OUTCOME_UNFINISHED);
    assert_false(record.present & IMIG_RECORD_HAS_DURATION);
    assert_near(record.predicted_s, 20);
    assert_near(record.predicted_downtime_s, 0.3);
    assert_near(record.predicted_bytes, 1.2e9);
    imig_records_free(records);

    tell(&f, 0, "a", IMIG_STEP_DONE);
    tell(&f, 0, "a", IMIG_STEP_DONE);
    records = read_all(&f);
    record = record_of(records, "a");
    assert_int_equal(record.outcome, IMIG_OUTCOME_DONE);
    assert_int_equal(record.rounds, 5);
    assert_near(record.duration_s, 21);
    assert_near(record.downtime_s, 0.4);
    assert_near(record.transferred_bytes, 1.1e9);
    assert_string_equal(record.from, "short");
    assert_string_equal(record.to, "wide");
    imig_records_free(records);
    end(&f);
}

static void
what_is_known_before_is_as_the_cost_model_has_it(void **state)
{
    fixture f = begin(NULL);
    imig_records *records;
    imig_record a, b, unseen;

    (void) state;
    tell(&f, 0, "a", IMIG_STEP_RUNNING);
    tell(&f, 0, "a", IMIG_STEP_DONE);
    tell(&f, 1, "b", IMIG_STEP_RUNNING);
    tell(&f, 2, "unseen", IMIG_STEP_RUNNING);
    records = read_all(&f);
    a = record_of(records, "a");
    b = record_of(records, "b");
    unseen = record_of(records, "unseen");
    assert_string_equal(a.run, b.run);

    assert_int_equal(a.workload_class, IMIG_WORKLOAD_MEMORY_DIRTY);
    assert_near(a.dirty_bytes_per_s, 1e7);
    assert_near(a.working_set_bytes, 5e7);
    assert_near(a.from_cpu_ratio, 3);
    assert_near(a.from_dirty_ratio, 5e6 / 1.25e8);
    assert_near(a.from_link_bytes_per_s, 1.25e8 - 4e7);
    assert_near(a.to_link_bytes_per_s, 1.25e8);
    assert_near(a.bandwidth_bytes_per_s, 1.25e8 - 4e7);

    /* Alone with its core it dirties three times as much, and nobody else sends. */
    assert_near(b.dirty_bytes_per_s, 1.5e7);
    assert_near(b.from_cpu_ratio, 1);
    assert_true(b.from_dirty_ratio == 0);
    assert_near(b.from_link_bytes_per_s, 1.25e8 - 2e7);

    /* Others' dirty pages were logged, and not those of this one. */
    assert_int_equal(unseen.workload_class, IMIG_WORKLOAD_UNKNOWN);
    assert_false(unseen.present & IMIG_RECORD_HAS_DIRTY);
    imig_records_free(records);
    end(&f);
}

static void
options_of_the_run_are_written_down(void **state)
{
    imig_execute_options options = IMIG_EXECUTE_OPTIONS_INIT;
    imig_records *records;
    imig_record record;
    fixture f;

    (void) state;
    options.set = IMIG_EXECUTE_HAS_BANDWIDTH | IMIG_EXECUTE_HAS_DOWNTIME_LIMIT;
    options.bandwidth_bytes_per_s = 1e7;
    options.downtime_limit_s = 0.05;
    f = begin(&options);
    tell(&f, 0, "a", IMIG_STEP_RUNNING);
    records = read_all(&f);
    record = record_of(records, "a");
    assert_near(record.bandwidth_bytes_per_s, 1e7);
    assert_near(record.downtime_limit_s, 0.05);
    assert_near(record.from_link_bytes_per_s, 1.25e8 - 4e7);
    imig_records_free(records);
    end(&f);
}

static void
failures_keep_their_reason_and_move_nobody(void **state)
{
    fixture f = begin(NULL);
    imig_step_report failed = report_of(0, "a", IMIG_STEP_FAILED);
    imig_records *records;
    imig_record record;

    (void) state;
    failed.message = "the link broke";
    assert_int_equal(imig_recorder_step(f.recorder, &failed, NULL), IMIG_OK);
    tell(&f, 1, "b", IMIG_STEP_RUNNING);
    records = read_all(&f);
    record = record_of(records, "a");
    assert_int_equal(record.outcome, IMIG_OUTCOME_FAILED);
    assert_string_equal(record.message, "the link broke");
    assert_false(record.present & IMIG_RECORD_HAS_DURATION);
    assert_near(record_of(records, "b").from_cpu_ratio, 3);
    imig_records_free(records);
    end(&f);
}

static void
what_cannot_be_is_not_written_down(void **state)
{
    fixture f = begin(NULL);
    imig_step_report long_pause = report_of(0, "a", IMIG_STEP_DONE);
    imig_step_report few_bytes = report_of(1, "b", IMIG_STEP_DONE);
    imig_records *records;
    imig_record record;

    (void) state;
    long_pause.measured_downtime_s = 22; /* two clocks contradict each other */
    assert_int_equal(imig_recorder_step(f.recorder, &long_pause, NULL), IMIG_OK);
    few_bytes.measured_bytes = 17;
    assert_int_equal(imig_recorder_step(f.recorder, &few_bytes, NULL), IMIG_ERR_INVALID);
    records = read_all(&f);
    record = record_of(records, "a");
    assert_near(record.duration_s, 21);
    assert_false(record.present & IMIG_RECORD_HAS_DOWNTIME);
    assert_int_equal(imig_records_count(records), 1);
    imig_records_free(records);
    end(&f);
}

static void
others_are_passed_over(void **state)
{
    fixture f = begin(NULL);
    imig_step_report never = report_of(0, "a", IMIG_STEP_SKIPPED);
    imig_records *records;

    (void) state;
    never.attempts = 0;
    assert_int_equal(imig_recorder_step(f.recorder, &never, NULL), IMIG_OK);
    tell(&f, 1, "nobody", IMIG_STEP_RUNNING);
    records = read_all(&f);
    assert_int_equal(imig_records_count(records), 0);
    imig_records_free(records);
    end(&f);
}

static void
wrong_arguments_are_refused(void **state)
{
    fixture f = begin(NULL);
    imig_step_report report = report_of(0, "a", IMIG_STEP_RUNNING);
    imig_cluster *unfinished = imig_cluster_new(0);
    imig_execute_options options = IMIG_EXECUTE_OPTIONS_INIT;
    imig_recorder *other = NULL;

    (void) state;
    assert_int_equal(imig_recorder_new(NULL, f.cluster, NULL, NULL, &other, NULL),
                     IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_recorder_new(f.store, NULL, NULL, NULL, &other, NULL),
                     IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_recorder_new(f.store, f.cluster, NULL, NULL, NULL, NULL),
                     IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_recorder_new(f.store, unfinished, NULL, NULL, &other, NULL),
                     IMIG_ERR_ARGUMENT);
    options.size = 1;
    assert_int_equal(imig_recorder_new(f.store, f.cluster, NULL, &options, &other, NULL),
                     IMIG_ERR_ABI);
    assert_null(other);
    assert_int_equal(imig_recorder_step(NULL, &report, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_recorder_step(f.recorder, NULL, NULL), IMIG_ERR_ARGUMENT);
    report.vm = NULL;
    assert_int_equal(imig_recorder_step(f.recorder, &report, NULL), IMIG_ERR_ARGUMENT);
    report.size = 1;
    assert_int_equal(imig_recorder_step(f.recorder, &report, NULL), IMIG_ERR_ABI);
    imig_recorder_free(NULL);
    imig_cluster_unref(unfinished);
    end(&f);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_migration_is_there_from_its_beginning),
        cmocka_unit_test(what_is_known_before_is_as_the_cost_model_has_it),
        cmocka_unit_test(options_of_the_run_are_written_down),
        cmocka_unit_test(failures_keep_their_reason_and_move_nobody),
        cmocka_unit_test(what_cannot_be_is_not_written_down),
        cmocka_unit_test(others_are_passed_over),
        cmocka_unit_test(wrong_arguments_are_refused),
    };

    return cmocka_run_group_tests_name("recorder", tests, NULL, NULL);
}
