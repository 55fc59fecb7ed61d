/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/paper-tables.h"
#include "policy/affinity-priv.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define IDLE  IMIG_WORKLOAD_IDLE
#define CPU   IMIG_WORKLOAD_CPU
#define DISK  IMIG_WORKLOAD_DISK_IO
#define DIRTY IMIG_WORKLOAD_MEMORY_DIRTY
#define WEB   IMIG_WORKLOAD_WEB_SERVER
#define RECV  IMIG_WORKLOAD_NET_RECEIVE
#define NONE  IMIG_WORKLOAD_UNKNOWN

static const char table2_csv[] =
    "destination,milc,bwaves,bzip2,libquantum,games\n"
    "milc,1100,1280,824,1530,1270\n"
    "bwaves,961,1500,633,1470,1270\n"
    "bzip2,824,1160,628,1190,1240\n"
    "libquantum,1070,1340,886,1760,1290\n"
    "games,843,1180,588,1100,1240\n";

static imig_affinity *
read_csv(const char *text)
{
    imig_affinity *affinity = NULL;
    imig_error *error = NULL;

    if (imig_affinity_from_csv(text, strlen(text), &affinity, &error) != IMIG_OK)
        fail_msg("%s", imig_error_message(error));
    assert_null(error);
    return affinity;
}

static void
assert_near(double got, double want, double within)
{
    if (!(fabs(got - want) <= within))
        fail_msg("%g is not within %g of %g", got, within, want);
}

static void
table2_differs_as_its_last_row_says(void **state)
{
    static const double printed_percent[] = { 25.1, 22.7, 33.6, 37.5, 3.9 };
    imig_affinity *affinity = imig_affinity_new_default();

    (void) state;
    assert_int_equal(imig_affinity_count(affinity), 5);
    for (size_t i = 0; i < 5; i++) {
        assert_string_equal(imig_affinity_name(affinity, i), imig__table2_names[i]);
        assert_near(100 * imig_affinity_max_difference(affinity, i), printed_percent[i], 0.05);
    }
    assert_null(imig_affinity_name(affinity, 5));
    assert_true(isnan(imig_affinity_max_difference(affinity, 5)));
    imig_affinity_unref(affinity);
}

static void
table2_is_written_and_read(void **state)
{
    imig_affinity *affinity = imig_affinity_new_default(), *again;
    char *text = NULL, *second = NULL;

    (void) state;
    assert_int_equal(imig_affinity_to_csv(affinity, &text, NULL), IMIG_OK);
    assert_string_equal(text, table2_csv);
    again = read_csv(text);
    assert_int_equal(imig_affinity_to_csv(again, &second, NULL), IMIG_OK);
    assert_string_equal(second, text);
    assert_int_equal(imig__affinity_label_count(again), imig__affinity_label_count(affinity));
    assert_memory_equal(imig__affinity_matrix(again), imig__affinity_matrix(affinity),
                        sizeof(double) * imig__affinity_label_count(again)
                            * imig__affinity_label_count(again));
    imig_free(text);
    imig_free(second);
    imig_affinity_unref(again);
    imig_affinity_unref(affinity);
}

/* Section 3.2: who suffers beside whom, in the default matrix. */
static const struct pair_case {
    const char *name, *victim, *neighbour;
    int32_t victim_class, neighbour_class;
    double want;
} pair_cases[] = {
    { "Table 2: libquantum beside itself", "libquantum", "libquantum", CPU, CPU, 0.6 },
    { "Table 2: libquantum suits games", "games", "libquantum", CPU, CPU, 1290.0 / 1240 - 1 },
    { "Table 2: two bwaves restrain each other", "bwaves", "bwaves", CPU, CPU, 1500.0 / 1160 - 1 },
    { "Table 2: the best neighbour costs nothing", "bzip2", "games", CPU, CPU, 0 },
    { "Table 2: the workload counts, not the class", "milc", "bzip2", RECV, DIRTY, 0 },
    { "Table 2: cpu beside cpu is the mean", NULL, NULL, CPU, CPU, 0.1577 },
    { "Table 2: beside bwaves and libquantum", NULL, NULL, CPU, DIRTY, 0.2497 },
    { "Table 2: bwaves and libquantum", NULL, NULL, DIRTY, CPU, 0.1978 },
    { "Table 2: bwaves and libquantum, both", NULL, NULL, DIRTY, DIRTY, 0.3461 },
    { "Fig. 3: disk-io and cpu work well together", NULL, NULL, DISK, CPU, 0 },
    { "Fig. 3: cpu and disk-io", NULL, NULL, CPU, DISK, 0 },
    { "Fig. 3: two disk-io are not this matrix's affair", NULL, NULL, DISK, DISK, 0 },
    { "idle disturbs nobody", NULL, NULL, DIRTY, IDLE, 0 },
    { "nobody disturbs idle", NULL, NULL, IDLE, DIRTY, 0 },
    { "packets cost some CPU", NULL, NULL, CPU, WEB, 0.02 },
    { "network against network is the link's affair", NULL, NULL, WEB, RECV, 0 },
    { "an unknown workload counts as its class", "gcc", "gcc", CPU, CPU, 0.1577 },
    { "a pair that was not measured: the classes", "milc", NULL, CPU, DIRTY, 0.2497 },
    { "a pair that was not measured, other way", NULL, "milc", DISK, CPU, 0 },
    { "a class that is not known counts as idle", NULL, NULL, NONE, DIRTY, 0 },
};

static void
pair_has_its_slowdown(void **state)
{
    const struct pair_case *c = *state;
    imig_affinity *affinity = imig_affinity_new_default();
    size_t labels = imig__affinity_label_count(affinity);
    uint32_t victim = imig__affinity_label(affinity, c->victim, c->victim_class);
    uint32_t neighbour = imig__affinity_label(affinity, c->neighbour, c->neighbour_class);

    assert_near(imig_affinity_slowdown(affinity, c->victim, c->victim_class, c->neighbour,
                                       c->neighbour_class), c->want, 1e-4);
    assert_true(victim < labels && neighbour < labels);
    assert_near(imig__affinity_matrix(affinity)[victim * labels + neighbour], c->want, 1e-4);
    imig_affinity_unref(affinity);
}

static void
own_tables_come_before_the_defaults(void **state)
{
    /* A solo row, a column that is only a victim, a row that is only a neighbour, and classes. */
    imig_affinity *affinity = read_csv("x,web1,db,cpu\n"
                                       "solo,10,100,50\n"
                                       "db,15,90,50\n"
                                       "batch,20,100,60\n"
                                       "cpu,10,130,75\n");

    (void) state;
    assert_near(imig_affinity_slowdown(affinity, "web1", WEB, "db", DISK), 0.5, 1e-9);
    assert_near(imig_affinity_slowdown(affinity, "db", DISK, "db", DISK), 0, 1e-9); /* never less */
    assert_near(imig_affinity_slowdown(affinity, "db", DISK, "batch", CPU), 0, 1e-9);
    /* By class where the file names one ... */
    assert_near(imig_affinity_slowdown(affinity, "db", DISK, NULL, CPU), 0.3, 1e-9);
    assert_near(imig_affinity_slowdown(affinity, "milc", CPU, "gcc", CPU), 0.5, 1e-9);
    assert_near(imig_affinity_slowdown(affinity, NULL, CPU, "batch", DIRTY), 0.2, 1e-9);
    assert_near(imig_affinity_slowdown(affinity, "batch", CPU, "batch", CPU), 0.5, 1e-9);
    /* ... and by default where it does not. */
    assert_near(imig_affinity_slowdown(affinity, NULL, DIRTY, "web1", DIRTY), 0.3461, 1e-4);
    assert_near(imig_affinity_max_difference(affinity, 0), 0.5, 1e-9); /* without solo */
    assert_near(imig_affinity_time(affinity, "batch", "cpu"), 60, 0);
    assert_near(imig_affinity_time(affinity, "solo", "db"), 100, 0);
    assert_true(isnan(imig_affinity_time(affinity, "web1", "db")));
    assert_true(isnan(imig_affinity_time(affinity, "db", "batch")));
    assert_true(isnan(imig_affinity_time(affinity, NULL, NULL)));
    imig_affinity_unref(affinity);
}

/* As spreadsheets write it; read and written again. */
static const struct good_case {
    const char *name, *text, *want;
} good_cases[] = {
    { "a BOM, CRLF, a last line without an end", "\xef\xbb\xbf,a,b\r\na,1,2\r\nb,3,4",
      ",a,b\na,1,2\nb,3,4\n" },
    { "quotes, and what needs them", "\"x \"\"y\"\"\",\"a, b\",\" c\"\n\"a\nb\",\"1\" , 2\n",
      "\"x \"\"y\"\"\",\"a, b\",\" c\"\n\"a\nb\",1,2\n" },
    { "blanks, tabs and empty lines", "\n  \nx , a ,\tb\n\n a , 1.50 , 2e1 \n\n",
      "x,a,b\na,1.5,20\n" },
    { "solo stays where it was", "x,a\nb,2\nsolo,1\nc,3\n", "x,a\nb,2\nsolo,1\nc,3\n" },
    { "names in any script", "x,\xc3\xa9t\xc3\xa9\n\xe6\x97\xa5,1\n",
      "x,\xc3\xa9t\xc3\xa9\n\xe6\x97\xa5,1\n" },
};

static void
good_csv_is_read_and_written(void **state)
{
    const struct good_case *c = *state;
    imig_affinity *affinity = read_csv(c->text), *again;
    char *text, *second;

    assert_int_equal(imig_affinity_to_csv(affinity, &text, NULL), IMIG_OK);
    assert_string_equal(text, c->want);
    again = read_csv(text);
    assert_int_equal(imig_affinity_to_csv(again, &second, NULL), IMIG_OK);
    assert_string_equal(second, text);
    imig_free(text);
    imig_free(second);
    imig_affinity_unref(affinity);
    imig_affinity_unref(again);
}

static const struct broken_case {
    const char *name, *text;
    int code;
    const char *says;
} broken_cases[] = {
    { "nothing", "", IMIG_ERR_SYNTAX, "line 1" },
    { "empty lines", "\n\n", IMIG_ERR_SYNTAX, "no table" },
    { "not UTF-8", "x,a\nb,1\nc\xff,2\n", IMIG_ERR_SYNTAX, "line 3" },
    { "an open quote", "x,a\n\"b,1\n", IMIG_ERR_SYNTAX, "line 2" },
    { "a quote in the middle", "x,a\nb\"c,1\n", IMIG_ERR_SYNTAX, "line 2" },
    { "text behind a quote", "x,a\n\"b\"c,1\n", IMIG_ERR_SYNTAX, "line 2" },
    { "a lone carriage return", "x,a\rb,1\n", IMIG_ERR_SYNTAX, "line 1" },
    { "no columns", "x\nb\n", IMIG_ERR_INVALID, "no column" },
    { "no rows", "x,a\n", IMIG_ERR_INVALID, "no row" },
    { "only solo", "x,a\nsolo,1\n", IMIG_ERR_INVALID, "no row" },
    { "a column without a name", "x,a,\nb,1,2\n", IMIG_ERR_INVALID, "column has no name" },
    { "a row without a name", "x,a\n,1\n", IMIG_ERR_INVALID, "row has no name" },
    { "a column twice", "x,a,a\nb,1,2\n", IMIG_ERR_INVALID, "two columns \"a\"" },
    { "a row twice", "x,a\nb,1\nc,1\nb,2\n", IMIG_ERR_INVALID, "line 4: there are two rows \"b\"" },
    { "solo twice", "x,a\nsolo,1\nb,2\nsolo,2\n", IMIG_ERR_INVALID, "two rows \"solo\"" },
    { "a row too short", "x,a,b\nc,1\n", IMIG_ERR_INVALID, "row \"c\": 1 times, not 2" },
    { "a row too long", "x,a,b\nc,1,2,3\n", IMIG_ERR_INVALID, "more than 2 times" },
    { "a row with a comma too many", "x,a,b\nc,1,2,\n", IMIG_ERR_INVALID, "more than 2 times" },
    { "an empty time", "x,a,b\nc,1,\n", IMIG_ERR_INVALID, "row \"c\", column \"b\": \"\"" },
    { "a time that is no number", "x,a\nc,fast\n", IMIG_ERR_INVALID, "\"fast\" is not" },
    { "a time with a unit", "x,a\nc,3s\n", IMIG_ERR_INVALID, "\"3s\"" },
    { "no time", "x,a\nc,0\n", IMIG_ERR_INVALID, "> 0" },
    { "negative time", "x,a\nc,-1\n", IMIG_ERR_INVALID, "\"-1\"" },
    { "endless time", "x,a\nc,inf\n", IMIG_ERR_INVALID, "\"inf\"" },
    { "endless time in digits", "x,a\nc,1e999\n", IMIG_ERR_INVALID, "\"1e999\"" },
    { "NaN", "x,a\nc,nan\n", IMIG_ERR_INVALID, "\"nan\"" },
    { "hexadecimal", "x,a\nc,0x10\n", IMIG_ERR_INVALID, "\"0x10\"" },
    { "a comma for a point", "x,a\nc,\"1,5\"\n", IMIG_ERR_INVALID, "\"1,5\"" },
};

static void
broken_csv_is_refused(void **state)
{
    const struct broken_case *c = *state;
    imig_affinity *affinity = (imig_affinity *) (void *) &affinity;
    imig_error *error = NULL;

    assert_int_equal(imig_affinity_from_csv(c->text, strlen(c->text), &affinity, &error), c->code);
    if (!strstr(imig_error_message(error), c->says))
        fail_msg("\"%s\" does not say \"%s\"", imig_error_message(error), c->says);
    assert_ptr_equal(affinity, &affinity); /* untouched */
    imig_error_free(error);
}

static void
wild_sizes_are_refused(void **state)
{
    (void) state;
    for (int wide = 0; wide < 2; wide++)
        for (int count = 128; count <= 129; count++) {
            GString *text = g_string_new("x");
            imig_affinity *affinity = NULL;
            int rc;

            for (int i = 0; i < (wide ? count : 1); i++)
                g_string_append_printf(text, ",c%d", i);
            g_string_append(text, "\n");
            for (int row = 0; row < (wide ? 1 : count); row++) {
                g_string_append_printf(text, "r%d", row);
                for (int i = 0; i < (wide ? count : 1); i++)
                    g_string_append(text, ",1");
                g_string_append(text, "\n");
            }
            if (!wide) /* comes on top */
                g_string_append(text, "solo,1\n");
            rc = imig_affinity_from_csv(text->str, text->len, &affinity, NULL);
            assert_int_equal(rc, count == 128 ? IMIG_OK : IMIG_ERR_INVALID);
            imig_affinity_unref(affinity);
            g_string_free(text, TRUE);
        }
    /* A NUL byte is not text. */
    assert_int_equal(imig_affinity_from_csv("x,a\nb,1\0\n", 9, &(imig_affinity *) { NULL }, NULL),
                     IMIG_ERR_SYNTAX);
}

static void
labels_of_vms_are_numbered_by_use(void **state)
{
    static const struct {
        const char *workload;
        int32_t workload_class;
        uint32_t want;
    } vms[] = {
        { NULL, CPU, 0 }, { "milc", CPU, 1 }, { NULL, CPU, 0 }, { "gcc", CPU, 0 },
        { "games", CPU, 2 }, { "milc", CPU, 1 }, { NULL, DIRTY, 3 }, { "milc", DIRTY, 4 },
    };
    enum { N = G_N_ELEMENTS(vms) };
    imig_affinity *affinity = imig_affinity_new_default();
    imig_cluster *cluster = imig_cluster_new(0);
    imig_host_info host = IMIG_HOST_INFO_INIT;
    int32_t workload[N];
    uint32_t label[N], count;
    double *matrix;

    (void) state;
    host.id = "h";
    host.cpu_cores = host.memory_bytes = 1000;
    assert_int_equal(imig_cluster_add_host(cluster, &host, NULL), IMIG_OK);
    for (int i = 0; i < N; i++) {
        imig_vm_info vm = IMIG_VM_INFO_INIT;
        char id[8];

        g_snprintf(id, sizeof id, "v%d", i);
        vm.id = id;
        vm.host = 0;
        vm.vcpus = 1;
        vm.memory_bytes = 1;
        vm.workload = vms[i].workload;
        workload[i] = vms[i].workload_class;
        assert_int_equal(imig_cluster_add_vm(cluster, &vm, NULL), IMIG_OK);
    }
    assert_int_equal(imig_cluster_finish(cluster, NULL), IMIG_OK);
    count = imig__affinity_label_vms(affinity, cluster, workload, label, &matrix);
    assert_int_equal(count, 5);
    for (int i = 0; i < N; i++) {
        assert_int_equal(label[i], vms[i].want);
        for (int j = 0; j < N; j++)
            assert_true(matrix[label[i] * count + label[j]]
                        == imig_affinity_slowdown(affinity, vms[i].workload, workload[i],
                                                  vms[j].workload, workload[j]));
    }
    g_free(matrix);
    imig_cluster_unref(cluster);
    imig_affinity_unref(affinity);
}

/* The least total over all n! assignments, by trying them. */
static double
least_of_all(const double *cost, size_t n, size_t row, uint32_t taken)
{
    double least = row == n ? 0 : INFINITY;

    for (size_t j = 0; row < n && j < n; j++)
        if (!(taken & 1u << j))
            least = MIN(least, cost[row * n + j] + least_of_all(cost, n, row + 1, taken | 1u << j));
    return least;
}

static double
check_assignment(const double *cost, size_t n)
{
    uint32_t host[200], again[200];
    gboolean taken[200] = { FALSE };
    double total = NAN, sum = 0;

    assert_int_equal(imig_affinity_assign(cost, n, host, &total, NULL), IMIG_OK);
    for (size_t i = 0; i < n; i++) {
        assert_true(host[i] < n && !taken[host[i]]);
        taken[host[i]] = TRUE;
        sum += cost[i * n + host[i]];
    }
    assert_true(sum == total);
    assert_int_equal(imig_affinity_assign(cost, n, again, NULL, NULL), IMIG_OK);
    assert_memory_equal(host, again, n * sizeof *host);
    return total;
}

static void
table2_is_assigned_best(void **state)
{
    imig_affinity *affinity = imig_affinity_new_default();
    uint32_t host[5];
    double cost[25], total;

    (void) state;
    for (size_t i = 0; i < 5; i++)
        for (size_t j = 0; j < 5; j++)
            cost[i * 5 + j] = imig_affinity_time(affinity, imig_affinity_name(affinity, j),
                                                 imig_affinity_name(affinity, i));
    assert_near(check_assignment(cost, 5), least_of_all(cost, 5, 0, 0), 1e-9);
    assert_int_equal(imig_affinity_assign(cost, 5, host, &total, NULL), IMIG_OK);
    /* milc beside bzip2, bwaves beside milc, bzip2 beside bwaves, libquantum and games together. */
    assert_memory_equal(host, ((const uint32_t[]) { 2, 0, 1, 4, 3 }), sizeof host);
    assert_near(total, 824 + 1280 + 633 + 1100 + 1290, 1e-9);
    imig_affinity_unref(affinity);
}

static double
next_number(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (double) (*seed >> 11) / 9007199254740992.0;
}

static void
assignments_are_exact(void **state)
{
    static double large[200 * 200];
    double cost[36], total;
    uint64_t seed = 5;

    (void) state;
    for (int round = 0; round < 600; round++) {
        size_t n = (size_t) round % 7;
        /* Whole numbers make many equal costs; negative ones are costs as well. */
        double whole = round % 3 == 0 ? 3 : 1e6;

        for (size_t i = 0; i < n * n; i++)
            cost[i] = floor((next_number(&seed) - 0.5) * whole) * (round % 5 == 0 ? 1e300 : 1);
        total = check_assignment(cost, n);
        if (n > 0)
            assert_near(total, least_of_all(cost, n, 0, 0), fabs(total) * 1e-9 + 1e-9);
    }
    /* Prices of 0 .. 199 for rows and columns: only matching them up costs nothing. */
    for (size_t i = 0; i < 200; i++)
        for (size_t j = 0; j < 200; j++)
            large[i * 200 + j] = j == (i * 77 + 5) % 200 ? (double) i + (double) j
                                                         : (double) i + (double) j + 1;
    assert_near(check_assignment(large, 200), 2 * 199 * 100, 1e-6);
}

static void
wrong_arguments_are_answered(void **state)
{
    imig_affinity *affinity = imig_affinity_new_default(), *none = NULL;
    const double cost[4] = { 1, 2, NAN, 4 };
    uint32_t host[2] = { 42, 42 };
    char *text = NULL;

    (void) state;
    assert_int_equal(imig_affinity_from_csv(NULL, 0, &none, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_affinity_from_csv("", 0, NULL, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_affinity_to_csv(NULL, &text, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_affinity_to_csv(affinity, NULL, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_affinity_assign(cost, 2, host, NULL, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_affinity_assign(NULL, 2, host, NULL, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(imig_affinity_assign(cost, 1, NULL, NULL, NULL), IMIG_ERR_ARGUMENT);
    assert_int_equal(host[0], 42);
    assert_int_equal(imig_affinity_assign(NULL, 0, NULL, NULL, NULL), IMIG_OK);
    assert_int_equal(imig_affinity_count(NULL), 0);
    assert_null(imig_affinity_name(NULL, 0));
    assert_true(isnan(imig_affinity_max_difference(NULL, 0)));
    assert_true(isnan(imig_affinity_time(NULL, "milc", "milc")));
    assert_true(isnan(imig_affinity_slowdown(NULL, NULL, CPU, NULL, CPU)));
    imig_affinity_unref(NULL);
    assert_ptr_equal(imig_affinity_ref(affinity), affinity);
    imig_affinity_unref(affinity);
    imig_affinity_unref(affinity);
}

int
main(void)
{
    static const struct CMUnitTest others[] = {
        cmocka_unit_test(table2_differs_as_its_last_row_says),
        cmocka_unit_test(table2_is_written_and_read),
        cmocka_unit_test(own_tables_come_before_the_defaults),
        cmocka_unit_test(wild_sizes_are_refused),
        cmocka_unit_test(labels_of_vms_are_numbered_by_use),
        cmocka_unit_test(table2_is_assigned_best),
        cmocka_unit_test(assignments_are_exact),
        cmocka_unit_test(wrong_arguments_are_answered),
    };
    enum {
        N_PAIRS = G_N_ELEMENTS(pair_cases), N_GOOD = G_N_ELEMENTS(good_cases),
        N_BROKEN = G_N_ELEMENTS(broken_cases), N_OTHERS = G_N_ELEMENTS(others),
    };
    struct CMUnitTest tests[N_PAIRS + N_GOOD + N_BROKEN + N_OTHERS], *t = tests;

    for (size_t i = 0; i < N_PAIRS; i++)
        *t++ = (struct CMUnitTest) { .name = pair_cases[i].name,
            .test_func = pair_has_its_slowdown, .initial_state = (void *) &pair_cases[i] };
    for (size_t i = 0; i < N_GOOD; i++)
        *t++ = (struct CMUnitTest) { .name = good_cases[i].name,
            .test_func = good_csv_is_read_and_written, .initial_state = (void *) &good_cases[i] };
    for (size_t i = 0; i < N_BROKEN; i++)
        *t++ = (struct CMUnitTest) { .name = broken_cases[i].name,
            .test_func = broken_csv_is_refused, .initial_state = (void *) &broken_cases[i] };
    memcpy(t, others, sizeof others);
    return cmocka_run_group_tests_name("affinity", tests, NULL, NULL);
}
