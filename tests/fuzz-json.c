/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Any bytes at all, as a cluster, as a plan and as capacities: refused with one line, or read and,
 * where there is a writer, written stably.  Begin with
 * `fuzz-json CORPUS tests/data/good tests/data/broken`.
 */

#include "model/capacities-priv.h"

#include <glib.h>
#include <imig/calibration.h>
#include <imig/model.h>
#include <imig/plan.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_refusal(int code, const imig_error *error)
{
    const char *message = imig_error_message(error);

    g_assert_true(code == IMIG_ERR_SYNTAX || code == IMIG_ERR_INVALID);
    g_assert_cmpint(imig_error_code(error), ==, code);
    g_assert_true(g_utf8_validate(message, -1, NULL));
    g_assert_cmpuint(strlen(message), <, 1000);
    g_assert_null(strchr(message, '\n'));
}

static void
try_cluster(const char *text, size_t length)
{
    imig_cluster *cluster = NULL, *again = NULL;
    imig_error *error = NULL;
    char *once, *twice;
    int code = imig_cluster_from_json(text, length, &cluster, &error);

    if (code != IMIG_OK) {
        check_refusal(code, error);
        imig_error_free(error);
        return;
    }
    g_assert_cmpint(imig_cluster_to_json(cluster, &once, &length, NULL), ==, IMIG_OK);
    g_assert_cmpint(imig_cluster_from_json(once, length, &again, NULL), ==, IMIG_OK);
    g_assert_cmpint(imig_cluster_to_json(again, &twice, NULL, NULL), ==, IMIG_OK);
    g_assert_cmpstr(once, ==, twice);
    g_assert_cmpstr(imig_cluster_sha256(cluster), ==, imig_cluster_sha256(again));
    imig_cluster_unref(cluster);
    imig_cluster_unref(again);
    imig_free(once);
    imig_free(twice);
}

static void
try_plan(const char *text, size_t length)
{
    imig_plan *plan = NULL, *again = NULL;
    imig_error *error = NULL;
    char *once, *twice;
    int code = imig_plan_from_json(text, length, &plan, &error);

    if (code != IMIG_OK) {
        check_refusal(code, error);
        imig_error_free(error);
        return;
    }
    g_assert_cmpint(imig_plan_to_json(plan, &once, &length, NULL), ==, IMIG_OK);
    g_assert_cmpint(imig_plan_from_json(once, length, &again, NULL), ==, IMIG_OK);
    g_assert_cmpint(imig_plan_to_json(again, &twice, NULL, NULL), ==, IMIG_OK);
    g_assert_cmpstr(once, ==, twice);
    imig_plan_unref(plan);
    imig_plan_unref(again);
    imig_free(once);
    imig_free(twice);
}

static void
try_capacities(const char *text, size_t length)
{
    imig__capacities *capacities = NULL;
    imig_host_info host = IMIG_HOST_INFO_INIT;
    imig_error *error = NULL;
    int code = imig__capacities_from_json(text, length, &capacities, &error);

    if (code != IMIG_OK) {
        check_refusal(code, error);
        imig_error_free(error);
        return;
    }
    host.id = "h1";
    imig__capacities_apply(capacities, &host);
    imig__capacities_free(capacities);
}

static void
try_constants(const char *text, size_t length)
{
    imig_calibration *read = NULL, *again = NULL;
    imig_error *error = NULL;
    char *once, *twice;
    int code = imig_calibration_from_json(text, length, &read, &error);

    if (code != IMIG_OK) {
        check_refusal(code, error);
        imig_error_free(error);
        return;
    }
    g_assert_cmpint(imig_calibration_to_json(read, &once, &length, NULL), ==, IMIG_OK);
    g_assert_cmpint(imig_calibration_from_json(once, length, &again, NULL), ==, IMIG_OK);
    g_assert_cmpint(imig_calibration_to_json(again, &twice, NULL, NULL), ==, IMIG_OK);
    g_assert_cmpstr(once, ==, twice);
    imig_calibration_unref(read);
    imig_calibration_unref(again);
    imig_free(once);
    imig_free(twice);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* Not NUL-ended, as the caller promises nothing of the kind. */
    try_cluster((const char *) data, size);
    try_plan((const char *) data, size);
    try_capacities((const char *) data, size);
    try_constants((const char *) data, size);
    return 0;
}
