/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "csv.h"
#include "predict-csv.h"

#include <math.h>
#include <stdio.h>

/* What was predicted of each row. */
typedef struct predictions {
    guint n;
    double *time_s, *downtime_s, *bytes, *slowdown, *time_p90;
    uint32_t *rounds;
    int32_t *converges;
} predictions;

/* What may be measured, and the prediction of it. */
static const struct measured {
    const char *name;
    size_t predicted; /* in predictions */
} measured[] = {
    { "duration_s", offsetof(predictions, time_s) },
    { "downtime_s", offsetof(predictions, downtime_s) },
    { "transferred_bytes", offsetof(predictions, bytes) },
};

static void
predictions_init(predictions *p, guint n)
{
    *p = (predictions) {
        n, g_new(double, n + 1), g_new(double, n + 1), g_new(double, n + 1), g_new(double, n + 1),
        g_new(double, n + 1), g_new(uint32_t, n + 1), g_new(int32_t, n + 1),
    };
}

static void
predictions_clear(predictions *p)
{
    g_free(p->time_s);
    g_free(p->downtime_s);
    g_free(p->bytes);
    g_free(p->slowdown);
    g_free(p->time_p90);
    g_free(p->rounds);
    g_free(p->converges);
}

json_t *
predict_as_json(const imig_cost *cost)
{
    const struct {
        const char *key;
        double ratio;
    } errors[] = {
        { "duration_p50_ratio", cost->time_p50_ratio },
        { "duration_p90_ratio", cost->time_p90_ratio },
        { "downtime_p50_ratio", cost->downtime_p50_ratio },
        { "downtime_p90_ratio", cost->downtime_p90_ratio },
        { "transferred_p50_ratio", cost->bytes_p50_ratio },
        { "transferred_p90_ratio", cost->bytes_p90_ratio },
    };
    json_t *object = json_pack(
        "{s:f, s:f, s:f, s:i, s:b, s:f, s:i}", "duration_s", cost->time_s, "downtime_s",
        cost->downtime_s, "transferred_bytes", cost->transferred_bytes, "rounds",
        (int) cost->rounds, "converges", (int) cost->converges, "slowdown_ratio",
        cost->slowdown_ratio, "learned_from", (int) cost->migrations);

    /* It would never end: the figures are those of a stop by force. */
    if (!cost->converges)
        json_object_set_new(object, "stopped_after_rounds", json_integer(cost->rounds - 1));
    for (size_t i = 0; i < G_N_ELEMENTS(errors) && cost->converges; i++)
        if (errors[i].ratio > 0)
            json_object_set_new(object, errors[i].key, json_real(errors[i].ratio));
    return object;
}

/* predicted / measured - 1; NaN where nothing was measured, as in a row that did not end well. */
static double
error_of(const csv_table *t, const predictions *p, guint row, guint column,
         const struct measured *what)
{
    double value;

    if (!csv_read_number(csv_cell(t, row, column), &value) || value <= 0)
        return NAN;
    return G_STRUCT_MEMBER(double *, p, what->predicted)[row] / value - 1;
}

static const struct measured *
measured_in(const csv_table *t, guint column)
{
    for (size_t i = 0; i < G_N_ELEMENTS(measured); i++)
        if (g_str_equal(csv_heading(t, column), measured[i].name))
            return &measured[i];
    return NULL;
}

/* Sorted, without their sign. */
static GArray *
errors_of(const csv_table *t, const predictions *p, guint column, const struct measured *what)
{
    GArray *errors = g_array_new(FALSE, FALSE, sizeof(double));

    for (guint row = 0; row < p->n; row++) {
        double off = fabs(error_of(t, p, row, column, what));

        if (!isnan(off))
            g_array_append_val(errors, off);
    }
    g_array_sort(errors, ui_compare_doubles);
    return errors;
}

static void
put_header(GString *out, const csv_table *t)
{
    g_autoptr(GString) line = g_string_new(NULL);

    for (guint c = 0; c < t->width; c++)
        csv_put(line, csv_heading(t, c));
    g_string_append_printf(out, "%s,predicted_duration_s,predicted_downtime_s,"
                           "predicted_transferred_bytes,predicted_rounds,predicted_converges,"
                           "predicted_slowdown_ratio,predicted_duration_p90_ratio", line->str + 1);
    for (guint c = 0; c < t->width; c++)
        if (measured_in(t, c))
            g_string_append_printf(out, ",%s_error", csv_heading(t, c));
    g_string_append_c(out, '\n');
}

static void
put_row(GString *out, const csv_table *t, const predictions *p, guint row)
{
    g_autoptr(GString) line = g_string_new(NULL);

    for (guint c = 0; c < t->width; c++)
        csv_put(line, csv_cell(t, row, c));
    csv_put_number(line, p->time_s[row]);
    csv_put_number(line, p->downtime_s[row]);
    csv_put_number(line, p->bytes[row]);
    csv_put_number(line, p->rounds[row]);
    csv_put_number(line, p->converges[row]);
    csv_put_number(line, p->slowdown[row]);
    csv_put_number(line, p->time_p90[row] > 0 ? p->time_p90[row] : NAN);
    for (guint c = 0; c < t->width; c++) {
        const struct measured *what = measured_in(t, c);

        if (what)
            csv_put_number(line, error_of(t, p, row, c, what));
    }
    g_string_append_printf(out, "%s\n", line->str + 1);
}

static int
write_json(const csv_table *t, const predictions *p)
{
    g_autoptr(json_t) document = NULL;
    json_t *rows = json_array(), *errors = json_object();

    for (guint row = 0; row < p->n; row++) {
        imig_cost cost = IMIG_COST_INIT;
        json_t *object;

        cost.time_s = p->time_s[row];
        cost.downtime_s = p->downtime_s[row];
        cost.transferred_bytes = p->bytes[row];
        cost.rounds = p->rounds[row];
        cost.converges = p->converges[row];
        cost.slowdown_ratio = p->slowdown[row];
        cost.time_p90_ratio = p->time_p90[row];
        object = predict_as_json(&cost);
        json_object_del(object, "learned_from");
        json_array_append_new(rows, object);
    }
    for (guint c = 0; c < t->width; c++) {
        const struct measured *what = measured_in(t, c);
        g_autoptr(GArray) off = what ? errors_of(t, p, c, what) : NULL;

        if (off && off->len > 0)
            json_object_set_new(errors, what->name, json_pack(
                "{s:i, s:f, s:f}", "rows", (int) off->len, "p50", ui_quantile(off, 0.5), "p90",
                ui_quantile(off, 0.9)));
    }
    document = json_pack("{s:o, s:o}", "rows", rows, "errors", errors);
    return ui_write_json("-", document);
}

static int
write_table(const csv_table *t, const predictions *p)
{
    g_autoptr(GString) out = g_string_new(NULL);
    int status;

    put_header(out, t);
    for (guint row = 0; row < p->n; row++)
        put_row(out, t, p, row);
    status = ui_write("-", out->str, out->len);
    for (guint c = 0; c < t->width && status == UI_DONE; c++) {
        const struct measured *what = measured_in(t, c);
        g_autoptr(GArray) off = what ? errors_of(t, p, c, what) : NULL;

        if (off && off->len > 0)
            fprintf(stderr, "%s: %u row%s measured, error p50 %.1f %%, p90 %.1f %%\n", what->name,
                    off->len, off->len == 1 ? "" : "s", 100 * ui_quantile(off, 0.5),
                    100 * ui_quantile(off, 0.9));
    }
    return status;
}

int
predict_csv(const char *path, const imig_calibration *calibration, gboolean json)
{
    imig_records *records = NULL;
    imig_error *error = NULL;
    predictions p;
    csv_table t;
    int status = csv_read(path, &t);

    if (status == UI_DONE)
        status = csv_to_records(&t, &records);
    if (status == UI_DONE) {
        predictions_init(&p, csv_rows(&t));
        if (imig_records_predict(records, calibration, p.time_s, p.downtime_s, p.bytes, p.slowdown,
                                 p.rounds, p.converges, p.time_p90, &error) != IMIG_OK)
            status = ui_fail_error(t.path, error);
        if (status == UI_DONE)
            status = json ? write_json(&t, &p) : write_table(&t, &p);
        predictions_clear(&p);
    }
    imig_records_free(records);
    csv_clear(&t);
    return status;
}
