/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "history.h"

#include <math.h>
#include <stdio.h>

enum { TIME, DOWNTIME, BYTES, KINDS };

/* Errors of those that have something in common. */
typedef struct group {
    const char *what, *name;
    GArray *off[KINDS]; /* of double, without their sign, sorted in the end */
} group;

static void
group_free(gpointer data)
{
    group *g = data;

    for (int k = 0; k < KINDS; k++)
        g_array_unref(g->off[k]);
    g_free(g);
}

static group *
find_group(GPtrArray *groups, GHashTable *known, const char *what, const char *name)
{
    g_autofree char *key = g_strdup_printf("%s/%s", what, name);
    group *g = g_hash_table_lookup(known, key);

    if (g)
        return g;
    g = g_new0(group, 1);
    g->what = what;
    g->name = name;
    for (int k = 0; k < KINDS; k++)
        g->off[k] = g_array_new(FALSE, FALSE, sizeof(double));
    g_ptr_array_add(groups, g);
    g_hash_table_insert(known, g_steal_pointer(&key), g);
    return g;
}

static void
add(group *g, const imig_record *r)
{
    const struct {
        uint64_t bit;
        double predicted, measured;
    } kinds[KINDS] = {
        { IMIG_RECORD_HAS_DURATION, r->predicted_s, r->duration_s },
        { IMIG_RECORD_HAS_DOWNTIME, r->predicted_downtime_s, r->downtime_s },
        { IMIG_RECORD_HAS_TRANSFERRED, r->predicted_bytes, r->transferred_bytes },
    };

    for (int k = 0; k < KINDS; k++) {
        double off = fabs(kinds[k].predicted / kinds[k].measured - 1);

        if (r->present & kinds[k].bit && kinds[k].measured > 0)
            g_array_append_val(g->off[k], off);
    }
}

static int
compare_groups(const void *a, const void *b)
{
    static const char *const order[] = { "all", "hypervisor", "class", "host" };
    const group *x = *(group *const *) a, *y = *(group *const *) b;
    size_t i = 0, j = 0;

    while (!g_str_equal(order[i], x->what))
        i++;
    while (!g_str_equal(order[j], y->what))
        j++;
    return i != j ? (i < j ? -1 : 1) : strcmp(x->name, y->name);
}

/* Those that ended well and were predicted, by what they have in common. */
static GPtrArray *
group_records(const imig_records *records)
{
    g_autoptr(GHashTable) known = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    GPtrArray *groups = g_ptr_array_new_with_free_func(group_free);

    for (size_t i = 0; i < imig_records_count(records); i++) {
        imig_record r = IMIG_RECORD_INIT;

        imig_records_get(records, i, &r, NULL);
        if (r.outcome != IMIG_OUTCOME_DONE || !(r.present & IMIG_RECORD_HAS_PREDICTED))
            continue;
        add(find_group(groups, known, "all", "all"), &r);
        add(find_group(groups, known, "hypervisor", r.hypervisor ? r.hypervisor : "qemu"), &r);
        if (r.workload_class != IMIG_WORKLOAD_UNKNOWN)
            add(find_group(groups, known, "class", imig_workload_name(r.workload_class)), &r);
        if (r.from)
            add(find_group(groups, known, "host", r.from), &r);
        if (r.to && g_strcmp0(r.from, r.to) != 0)
            add(find_group(groups, known, "host", r.to), &r);
    }
    g_ptr_array_sort(groups, compare_groups);
    for (guint i = 0; i < groups->len; i++) {
        const group *g = groups->pdata[i];

        for (int k = 0; k < KINDS; k++)
            g_array_sort(g->off[k], ui_compare_doubles);
    }
    return groups;
}

static const char *
percent(double ratio)
{
    return isnan(ratio) ? "-" : ui_text("%.1f %%", 100 * ratio);
}

void
history_print_errors(const imig_records *records)
{
    static const char *const headings[] = {
        "off by", "", ">migrations", ">time, half", ">nine of ten", ">downtime, half",
        ">nine of ten", ">sent, half", ">nine of ten", NULL,
    };
    g_autoptr(GPtrArray) groups = group_records(records);
    ui_table *table;

    if (groups->len == 0) {
        printf("None of them ended well and was predicted.\n");
        return;
    }
    table = ui_table_new(headings);
    for (guint i = 0; i < groups->len; i++) {
        const group *g = groups->pdata[i];

        ui_table_add(table, g->what);
        ui_table_add(table, g_str_equal(g->what, "all") ? "" : g->name);
        ui_table_add(table, ui_text("%u", g->off[TIME]->len));
        for (int k = 0; k < KINDS; k++) {
            ui_table_add(table, percent(ui_quantile(g->off[k], 0.5)));
            ui_table_add(table, percent(ui_quantile(g->off[k], 0.9)));
        }
    }
    ui_table_print(table);
    printf("(as predicted before they began; \"imig calibrate\" predicts them again, from what ran "
           "beside them)\n");
}

static json_t *
number_or_null(gboolean present, double value)
{
    return present ? json_real(value) : json_null();
}

static json_t *
compared(const imig_record *r, double predicted, double measured, uint64_t bit)
{
    return json_pack("{s:o, s:o}", "predicted",
                     number_or_null((r->present & IMIG_RECORD_HAS_PREDICTED) != 0, predicted),
                     "measured", number_or_null((r->present & bit) != 0, measured));
}

static json_t *
record_as_json(const imig_record *r)
{
    return json_pack(
        "{s:I, s:s?, s:s?, s:s?, s:s?, s:s?, s:s, s:s?, s:s, s:s?, s:o, s:f, s:f, s:o, s:o, s:o,"
        " s:o, s:o, s:i, s:i}",
        "id", (json_int_t) r->id, "run", r->run, "vm", r->vm, "name", r->vm_name, "from", r->from,
        "to", r->to, "hypervisor", r->hypervisor ? r->hypervisor : "qemu", "class",
        r->workload_class == IMIG_WORKLOAD_UNKNOWN ? NULL : imig_workload_name(r->workload_class),
        "outcome", imig_outcome_name(r->outcome), "message", r->message, "start_s",
        number_or_null((r->present & IMIG_RECORD_HAS_START) != 0, r->start_s), "memory_bytes",
        r->memory_bytes, "bandwidth_bytes_per_s", r->bandwidth_bytes_per_s, "dirty_bytes_per_s",
        number_or_null((r->present & IMIG_RECORD_HAS_DIRTY) != 0, r->dirty_bytes_per_s),
        "working_set_bytes",
        number_or_null((r->present & IMIG_RECORD_HAS_WORKING_SET) != 0, r->working_set_bytes),
        "duration_s", compared(r, r->predicted_s, r->duration_s, IMIG_RECORD_HAS_DURATION),
        "downtime_s", compared(r, r->predicted_downtime_s, r->downtime_s,
                               IMIG_RECORD_HAS_DOWNTIME),
        "transferred_bytes", compared(r, r->predicted_bytes, r->transferred_bytes,
                                      IMIG_RECORD_HAS_TRANSFERRED),
        "rounds", (int) r->rounds, "learned_from", (int) r->learned_from);
}

static json_t *
quantiles_as_json(GArray *off)
{
    return off->len == 0 ? json_null()
                         : json_pack("{s:i, s:f, s:f}", "migrations", (int) off->len, "p50",
                                     ui_quantile(off, 0.5), "p90", ui_quantile(off, 0.9));
}

json_t *
history_as_json(const imig_records *records)
{
    g_autoptr(GPtrArray) groups = group_records(records);
    json_t *list = json_array(), *errors = json_array();

    for (size_t i = 0; i < imig_records_count(records); i++) {
        imig_record r = IMIG_RECORD_INIT;

        imig_records_get(records, i, &r, NULL);
        json_array_append_new(list, record_as_json(&r));
    }
    for (guint i = 0; i < groups->len; i++) {
        const group *g = groups->pdata[i];

        json_array_append_new(errors, json_pack(
            "{s:s, s:s, s:o, s:o, s:o}", "of", g->what, "name", g->name, "duration_s",
            quantiles_as_json(g->off[TIME]), "downtime_s", quantiles_as_json(g->off[DOWNTIME]),
            "transferred_bytes", quantiles_as_json(g->off[BYTES])));
    }
    return json_pack("{s:o, s:o}", "migrations", list, "errors", errors);
}
