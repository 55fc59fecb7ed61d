/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "csv.h"

#include <math.h>

enum { NUMBER, TEXT, HYPERVISOR, WRITES, CLASS, OUTCOME, COUNT, IGNORED };

/* What a column may be called. */
static const struct column {
    const char *name;
    int kind;
    size_t offset; /* in the record */
    uint64_t bit;  /* of `present` */
} columns[] = {
#define FIELD(field) offsetof(imig_record, field)
    { "run", TEXT, FIELD(run), 0 },
    { "plan", TEXT, FIELD(plan), 0 },
    { "vm", TEXT, FIELD(vm), 0 },
    { "vm_name", TEXT, FIELD(vm_name), 0 },
    { "from", TEXT, FIELD(from), 0 },
    { "to", TEXT, FIELD(to), 0 },
    { "hypervisor", HYPERVISOR, FIELD(hypervisor), 0 },
    { "class", CLASS, 0, 0 },
    { "start_s", NUMBER, FIELD(start_s), IMIG_RECORD_HAS_START },
    { "memory_bytes", NUMBER, FIELD(memory_bytes), 0 },
    { "bandwidth_bytes_per_s", NUMBER, FIELD(bandwidth_bytes_per_s), 0 },
    { "dirty_bytes_per_s", NUMBER, FIELD(dirty_bytes_per_s), IMIG_RECORD_HAS_DIRTY },
    { "working_set_bytes", NUMBER, FIELD(working_set_bytes), IMIG_RECORD_HAS_WORKING_SET },
    { "memory_nonzero_bytes", NUMBER, FIELD(memory_nonzero_bytes), IMIG_RECORD_HAS_NONZERO },
    { "memory_populated_bytes", NUMBER, FIELD(memory_populated_bytes),
      IMIG_RECORD_HAS_POPULATED },
    { "disk_bytes", NUMBER, FIELD(disk_bytes), 0 },
    { "downtime_limit_s", NUMBER, FIELD(downtime_limit_s), IMIG_RECORD_HAS_DOWNTIME_LIMIT },
    { "writes", WRITES, 0, 0 },
    { "from_link_bytes_per_s", NUMBER, FIELD(from_link_bytes_per_s), IMIG_RECORD_HAS_FROM_LINK },
    { "to_link_bytes_per_s", NUMBER, FIELD(to_link_bytes_per_s), IMIG_RECORD_HAS_TO_LINK },
    { "from_cpu_ratio", NUMBER, FIELD(from_cpu_ratio), 0 },
    { "from_dirty_ratio", NUMBER, FIELD(from_dirty_ratio), 0 },
    { "outcome", OUTCOME, 0, 0 },
    { "duration_s", NUMBER, FIELD(duration_s), IMIG_RECORD_HAS_DURATION },
    { "downtime_s", NUMBER, FIELD(downtime_s), IMIG_RECORD_HAS_DOWNTIME },
    { "transferred_bytes", NUMBER, FIELD(transferred_bytes), IMIG_RECORD_HAS_TRANSFERRED },
    { "rounds", COUNT, FIELD(rounds), 0 },
    /* What was predicted before is written, and passed over where it is read. */
    { "predicted_s", IGNORED, FIELD(predicted_s), IMIG_RECORD_HAS_PREDICTED },
    { "predicted_downtime_s", IGNORED, FIELD(predicted_downtime_s), IMIG_RECORD_HAS_PREDICTED },
    { "predicted_bytes", IGNORED, FIELD(predicted_bytes), IMIG_RECORD_HAS_PREDICTED },
    { "message", IGNORED, FIELD(message), 0 },
#undef FIELD
};

static const struct column other = { "x-", IGNORED, 0, 0 };

static gboolean
has_column(const csv_table *t, const char *name)
{
    for (guint c = 0; c < t->width; c++)
        if (g_str_equal(csv_heading(t, c), name))
            return TRUE;
    return FALSE;
}

/* kind: [width] filled. */
static int
find_columns(const csv_table *t, const struct column **kind)
{
    static const char *const needed[] = { "memory_bytes", "bandwidth_bytes_per_s" };
    uint64_t seen = 0;

    for (guint c = 0; c < t->width; c++) {
        const char *name = csv_heading(t, c);

        kind[c] = g_str_has_prefix(name, "x-") ? &other : NULL;
        for (size_t i = 0; i < G_N_ELEMENTS(columns) && !kind[c]; i++) {
            if (!g_str_equal(name, columns[i].name))
                continue;
            if (seen >> i & 1)
                return ui_fail(UI_USAGE, "%s: column \"%s\" twice", t->path, name);
            seen |= UINT64_C(1) << i;
            kind[c] = &columns[i];
        }
        if (!kind[c])
            return ui_fail(UI_USAGE, "%s: unknown column \"%s\"", t->path, name);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(needed); i++)
        if (!has_column(t, needed[i]))
            return ui_fail(UI_USAGE, "%s: no column \"%s\"", t->path, needed[i]);
    return UI_DONE;
}

const char *
csv_outcome_name(uint32_t index)
{
    return imig_outcome_name((int32_t) index);
}

gboolean
csv_outcome_from_name(const char *name, int32_t *outcome)
{
    int index = ui_find_name(csv_outcome_name, name);

    *outcome = MAX(index, 0);
    return index >= 0;
}

static gboolean
read_cell(const struct column *column, const char *cell, imig_record *r)
{
    double value;

    switch (column->kind) {
    case NUMBER:
        r->present |= column->bit;
        if (!csv_read_number(cell, &value))
            return FALSE;
        G_STRUCT_MEMBER(double, r, column->offset) = value;
        return TRUE;
    case COUNT:
        if (!csv_read_number(cell, &value) || value < 0 || value > 1e6 || value != floor(value))
            return FALSE;
        G_STRUCT_MEMBER(uint32_t, r, column->offset) = (uint32_t) value;
        return TRUE;
    case HYPERVISOR:
        r->hypervisor = cell;
        return ui_find_name(imig_hypervisor_name, cell) >= 0;
    case WRITES:
        return csv_writes_from_name(cell, &r->writes);
    case CLASS:
        r->workload_class = imig_workload_from_name(cell);
        return r->workload_class != IMIG_WORKLOAD_UNKNOWN;
    case OUTCOME:
        return csv_outcome_from_name(cell, &r->outcome);
    case TEXT:
        G_STRUCT_MEMBER(const char *, r, column->offset) = cell;
        return TRUE;
    default:
        return TRUE;
    }
}

static int
refuse_cell(const csv_table *t, const struct column *column, guint row, const char *cell)
{
    static const char *(*const names[])(uint32_t) = {
        [HYPERVISOR] = imig_hypervisor_name, [WRITES] = csv_writes_name, [CLASS] = ui_class_name,
        [OUTCOME] = csv_outcome_name, [COUNT] = NULL,
    };
    g_autofree char *there = NULL;

    if (!names[column->kind])
        return ui_fail(UI_USAGE, "%s: line %u: %s: \"%s\" is no number such as 1250000, 1.25e6 or "
                       "0.3", t->path, csv_line(t, row), column->name, cell);
    there = ui_list_names(names[column->kind]);
    return ui_fail(UI_USAGE, "%s: line %u: no %s \"%s\"; there are %s", t->path, csv_line(t, row),
                   column->name, cell, there);
}

static int
read_row(const csv_table *t, const struct column *const *kind, guint row, imig_records *records)
{
    imig_record r = IMIG_RECORD_INIT;
    imig_error *error = NULL;
    gboolean said = FALSE;

    for (guint c = 0; c < t->width; c++) {
        const char *cell = csv_cell(t, row, c);

        /* An empty cell is a value that is absent. */
        if (*cell != '\0' && !read_cell(kind[c], cell, &r))
            return refuse_cell(t, kind[c], row, cell);
        said = said || (kind[c]->kind == OUTCOME && *cell != '\0');
    }
    if (!said && r.present & IMIG_RECORD_HAS_DURATION)
        r.outcome = IMIG_OUTCOME_DONE;
    if (imig_records_add(records, &r, &error) != IMIG_OK)
        return ui_fail_error(ui_text("%s: line %u", t->path, csv_line(t, row)), error);
    return UI_DONE;
}

int
csv_to_records(const csv_table *t, imig_records **records)
{
    g_autofree const struct column **kind = g_new(const struct column *, t->width);
    imig_records *list;
    int status = find_columns(t, kind);

    if (status != UI_DONE)
        return status;
    list = imig_records_new();
    for (guint row = 0; row < csv_rows(t) && status == UI_DONE; row++)
        status = read_row(t, kind, row, list);
    if (status == UI_DONE)
        *records = list;
    else
        imig_records_free(list);
    return status;
}

static void
put_cell(GString *line, const struct column *column, const imig_record *r)
{
    switch (column->kind) {
    case HYPERVISOR:
    case TEXT:
        csv_put(line, G_STRUCT_MEMBER(const char *, r, column->offset));
        return;
    case CLASS:
        csv_put(line, r->workload_class == IMIG_WORKLOAD_UNKNOWN
                          ? NULL : imig_workload_name(r->workload_class));
        return;
    case WRITES:
        csv_put(line, csv_writes_name((uint32_t) r->writes));
        return;
    case OUTCOME:
        csv_put(line, imig_outcome_name(r->outcome));
        return;
    case COUNT:
        csv_put_number(line, r->rounds > 0 ? (double) r->rounds : (double) NAN);
        return;
    default:
        if (column->offset == offsetof(imig_record, message))
            csv_put(line, r->message);
        else
            csv_put_number(line, column->bit && !(r->present & column->bit)
                                     ? NAN : G_STRUCT_MEMBER(const double, r, column->offset));
    }
}

char *
csv_from_records(const imig_records *records)
{
    GString *out = g_string_new(NULL);

    for (size_t i = 0; i < G_N_ELEMENTS(columns); i++)
        g_string_append_printf(out, "%s%s", i > 0 ? "," : "", columns[i].name);
    g_string_append_c(out, '\n');
    for (size_t row = 0; row < imig_records_count(records); row++) {
        g_autoptr(GString) line = g_string_new(NULL);
        imig_record r = IMIG_RECORD_INIT;

        imig_records_get(records, row, &r, NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(columns); i++)
            put_cell(line, &columns[i], &r);
        g_string_append_printf(out, "%s\n", line->str + 1);
    }
    return g_string_free(out, FALSE);
}
