/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What is known better of hosts than their hypervisors report. */

#include "fake-hosts.h"

#include "broken.h"

#include <imig/monitor.h>

#define FORMAT "\"format\": \"imig-capacity/1\""

/* ---- broken documents, each with its message ---- */

static void
broken_document_is_refused(void **state)
{
    const broken_row *row = *state;
    char *name = g_build_filename("broken", row->file, NULL);
    size_t length;
    char *text = read_test_file(name, &length);
    imig_connection *connection = connect_abc();
    imig_error *error = NULL;

    assert_int_equal(imig_connection_set_capacities(connection, text, length, &error), row->code);
    assert_string_equal(imig_error_message(error), row->message);
    assert_int_equal(imig_connection_set_capacities(connection, text, length, NULL), row->code);
    assert_null(connection->capacities);
    imig_error_free(error);
    imig_connection_unref(connection);
    g_free(text);
    g_free(name);
}

/* ---- what an item says, and what it does not ---- */

static const struct item_case {
    const char *name;
    const char *item; /* of a host "h", besides its id */
    const char *want; /* the host afterwards */
} item_cases[] = {
    { "nothing", "", "N P 8 1000 1.5 10 20 30 40 50 qemu 1 rack=r1" },
    { "a name", ", \"name\": \"n\"", "n P 8 1000 1.5 10 20 30 40 50 qemu 1 rack=r1" },
    { "a pool", ", \"pool\": \"p\"", "N p 8 1000 1.5 10 20 30 40 50 qemu 1 rack=r1" },
    { "cores", ", \"cpu_cores\": 0.5", "N P 0.5 1000 1.5 10 20 30 40 50 qemu 1 rack=r1" },
    { "memory", ", \"memory_bytes\": 7", "N P 8 7 1.5 10 20 30 40 50 qemu 1 rack=r1" },
    { "the default of a ratio", ", \"memory_overcommit_ratio\": 1",
      "N P 8 1000 1 10 20 30 40 50 qemu 1 rack=r1" },
    { "nothing reserved, no overhead", ", \"reserved_memory_bytes\": 0, \"vm_overhead_bytes\": 0",
      "N P 8 1000 1.5 0 0 30 40 50 qemu 1 rack=r1" },
    { "what devices can do", ", \"disk_ops_per_s\": 1, \"net_bytes_per_s\": 2, "
      "\"migration_bytes_per_s\": 3", "N P 8 1000 1.5 10 20 1 2 3 qemu 1 rack=r1" },
    { "a hypervisor", ", \"hypervisor\": \"xen\"",
      "N P 8 1000 1.5 10 20 30 40 50 xen 1 rack=r1" },
    { "a state", ", \"state\": \"active\"", "N P 8 1000 1.5 10 20 30 40 50 qemu 0 rack=r1" },
    { "other labels", ", \"labels\": {\"b\": \"2\", \"a\": \"1\"}",
      "N P 8 1000 1.5 10 20 30 40 50 qemu 1 a=1 b=2" },
    { "no labels", ", \"labels\": {}", "N P 8 1000 1.5 10 20 30 40 50 qemu 1" },
    { "a key of somebody else's", ", \"x-note\": 1",
      "N P 8 1000 1.5 10 20 30 40 50 qemu 1 rack=r1" },
};

static char *
host_text(const imig_host_info *h)
{
    GString *text = g_string_new(NULL);

    g_string_printf(text, "%s %s %g %g %g %g %g %g %g %g %s %d", h->name, h->pool, h->cpu_cores,
                    h->memory_bytes, h->memory_overcommit_ratio, h->reserved_memory_bytes,
                    h->vm_overhead_bytes, h->disk_ops_per_s, h->net_bytes_per_s,
                    h->migration_bytes_per_s, h->hypervisor, h->state);
    for (uint32_t i = 0; i < h->label_count; i++)
        g_string_append_printf(text, " %s=%s", h->labels[2 * i], h->labels[2 * i + 1]);
    return g_string_free(text, FALSE);
}

static void
an_item_replaces_what_it_states(void **state)
{
    static const char *const labels[] = { "rack", "r1" };
    const struct item_case *c = *state;
    imig_host_info host = {
        .size = sizeof host, .id = "h", .name = "N", .pool = "P", .hypervisor = "qemu",
        .labels = labels, .label_count = 1, .state = IMIG_HOST_MAINTENANCE, .cpu_cores = 8,
        .memory_bytes = 1000, .memory_overcommit_ratio = 1.5, .reserved_memory_bytes = 10,
        .vm_overhead_bytes = 20, .disk_ops_per_s = 30, .net_bytes_per_s = 40,
        .migration_bytes_per_s = 50,
        .present = IMIG_HOST_HAS_MEMORY_OVERCOMMIT | IMIG_HOST_HAS_RESERVED_MEMORY
                   | IMIG_HOST_HAS_VM_OVERHEAD | IMIG_HOST_HAS_DISK_OPS | IMIG_HOST_HAS_NET
                   | IMIG_HOST_HAS_MIGRATION,
    };
    imig_host_info other = host;
    char *text = g_strdup_printf("{ %s, \"hosts\": [ {\"id\": \"g\", \"cpu_cores\": 99}, "
                                 "{\"id\": \"h\"%s} ] }", FORMAT, c->item), *got;
    imig__capacities *capacities;
    imig_error *error = NULL;

    if (imig__capacities_from_json(text, strlen(text), &capacities, &error) != IMIG_OK)
        fail_msg("%s", imig_error_message(error));
    imig__capacities_apply(capacities, &host);
    got = host_text(&host);
    assert_string_equal(got, c->want);
    g_free(got);
    other.id = "nobody";
    imig__capacities_apply(capacities, &other);
    got = host_text(&other);
    assert_string_equal(got, item_cases[0].want);
    g_free(got);
    imig__capacities_free(capacities);
    g_free(text);
}

/* ---- on a connection ---- */

static int
set(imig_connection *connection, const char *hosts)
{
    char *text = g_strdup_printf("{ %s, \"hosts\": [ %s ] }", FORMAT, hosts);
    int code = imig_connection_set_capacities(connection, text, strlen(text), NULL);

    memset(text, 'x', strlen(text)); /* it is copied */
    g_free(text);
    return code;
}

/* "cores state" of each host. */
static void
assert_hosts(imig_connection *connection, const char *want)
{
    GString *got = g_string_new(NULL);
    imig_sample *sample;
    imig_error *error = NULL;

    if (imig__connection_sample(connection, &sample, &error) != IMIG_OK)
        fail_msg("%s", imig_error_message(error));
    for (size_t i = 0; i < sample->cluster->host_count; i++)
        g_string_append_printf(got, "%s%g %d", i ? ", " : "", sample->cluster->hosts[i].cpu_cores,
                               sample->cluster->hosts[i].state);
    assert_string_equal(got->str, want);
    g_string_free(got, TRUE);
    imig__sample_free(sample);
}

static void
every_sample_shows_what_is_known_better(void **state)
{
    imig_connection *connection = connect_abc();
    imig_host_info host = { .size = sizeof host };
    imig_cluster *cluster;

    (void) state;
    assert_int_equal(set(connection, "{\"id\": \"B\", \"cpu_cores\": 0.5}, "
                                     "{\"id\": \"C\", \"state\": \"maintenance\"}"), IMIG_OK);
    assert_hosts(connection, "8 0, 0.5 0, 8 1");
    assert_int_equal(imig_observe(connection, 20, NULL, &cluster, NULL), IMIG_OK);
    assert_int_equal(imig_cluster_get_host(cluster, 1, &host, NULL), IMIG_OK);
    assert_true(host.cpu_cores == 0.5);
    imig_cluster_unref(cluster);
    world.down = "B"; /* nobody says that it is there */
    assert_hosts(connection, "8 0, 0.5 2, 8 1");
    world.down = "C";
    assert_hosts(connection, "8 0, 0.5 0, 8 2");
    world.down = NULL;
    assert_int_equal(set(connection, "{\"id\": \"A\", \"cpu_cores\": 2}"), IMIG_OK);
    assert_hosts(connection, "2 0, 8 0, 8 0"); /* a later call replaces all of it */
    assert_int_equal(set(connection, "{\"id\": \"A\", \"cpu_cores\": 0}"), IMIG_ERR_INVALID);
    assert_hosts(connection, "2 0, 8 0, 8 0");
    assert_int_equal(set(connection, ""), IMIG_OK);
    assert_hosts(connection, "8 0, 8 0, 8 0");
    imig_connection_unref(connection);
}

static void
one_host_is_as_good_as_several(void **state)
{
    static const char *const uris[] = { "fake:A", "fake:A,id=left" };
    static const char *const items[] = { "{\"id\": \"A\", \"cpu_cores\": 3}",
                                         "{\"id\": \"left\", \"cpu_cores\": 3}" };

    (void) state;
    for (int i = 0; i < 2; i++) {
        imig_connection *connection;
        imig_sample *sample;

        assert_int_equal(connect_to(&uris[i], 1, &connection, NULL), IMIG_OK);
        assert_int_equal(set(connection, items[i]), IMIG_OK);
        assert_hosts(connection, "3 0");
        assert_int_equal(imig__connection_sample(connection, &sample, NULL), IMIG_OK);
        assert_int_equal(sample->cluster->vm_count, 1);
        assert_true(sample->counters[0].cpu_s == 7);
        imig__sample_free(sample);
        imig_connection_unref(connection);
    }
}

static void
an_id_of_nobody_is_refused_once_everybody_answers(void **state)
{
    imig_connection *connection = connect_abc();
    imig_sample *sample;

    (void) state;
    assert_int_equal(set(connection, "{\"id\": \"A\", \"cpu_cores\": 2}, {\"id\": \"Z\"}"),
                     IMIG_OK);
    world.down = "B"; /* which might have it */
    assert_hosts(connection, "2 0, 8 0");
    world.down = NULL;
    for (int i = 0; i < 2; i++) {
        imig_error *error = NULL;

        assert_int_equal(imig__connection_sample(connection, &sample, &error), IMIG_ERR_INVALID);
        assert_string_equal(imig_error_message(error),
                            "host capacities: hosts[1].id: \"Z\": no such host");
        imig_error_free(error);
    }
    /* Who was there once may go. */
    assert_int_equal(set(connection, "{\"id\": \"A\", \"cpu_cores\": 2}"), IMIG_OK);
    assert_hosts(connection, "2 0, 8 0, 8 0");
    imig_connection_unref(connection);
}

static void
null_is_an_argument_error(void **state)
{
    imig_connection *connection = connect_abc();

    (void) state;
    assert_int_equal(imig_connection_set_capacities(NULL, "", 0, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_connection_set_capacities(connection, NULL, 0, NULL),
                     IMIG_ERR_ARGUMENT);
    imig_connection_unref(connection);
}

int
main(void)
{
    const struct CMUnitTest single[] = {
        cmocka_unit_test(every_sample_shows_what_is_known_better),
        cmocka_unit_test(one_host_is_as_good_as_several),
        cmocka_unit_test(an_id_of_nobody_is_refused_once_everybody_answers),
        cmocka_unit_test(null_is_an_argument_error),
    };
    GArray *rows = broken_rows("capacity-");
    struct CMUnitTest *tests = g_new0(struct CMUnitTest, rows->len + G_N_ELEMENTS(item_cases)
                                                         + G_N_ELEMENTS(single));
    size_t count = 0;
    int failed;

    for (unsigned i = 0; i < rows->len; i++) {
        broken_row *row = &g_array_index(rows, broken_row, i);

        tests[count++] = (struct CMUnitTest) {
            .name = row->file, .test_func = broken_document_is_refused, .initial_state = row,
        };
    }
    for (size_t i = 0; i < G_N_ELEMENTS(item_cases); i++)
        tests[count++] = (struct CMUnitTest) {
            .name = item_cases[i].name, .test_func = an_item_replaces_what_it_states,
            .initial_state = (void *) &item_cases[i],
        };
    for (size_t i = 0; i < G_N_ELEMENTS(single); i++)
        tests[count++] = single[i];
    failed = _cmocka_run_group_tests("capacities", tests, count, NULL, NULL);
    g_free(tests);
    broken_rows_free(rows);
    return failed;
}
