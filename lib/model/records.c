/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/records-priv.h"

#include <math.h>

#define RECORD_FIRST_SIZE IMIG__END_OF(imig_record, reserved)

const imig__record_field imig__record_numbers[IMIG__RECORD_NUMBERS] = {
#define FIELD(name, bit, above_zero) { #name, offsetof(imig_record, name), bit, above_zero }
    FIELD(start_s, IMIG_RECORD_HAS_START, FALSE),
    FIELD(memory_bytes, 0, TRUE),
    FIELD(bandwidth_bytes_per_s, 0, TRUE),
    FIELD(dirty_bytes_per_s, IMIG_RECORD_HAS_DIRTY, FALSE),
    FIELD(working_set_bytes, IMIG_RECORD_HAS_WORKING_SET, FALSE),
    FIELD(memory_nonzero_bytes, IMIG_RECORD_HAS_NONZERO, FALSE),
    FIELD(memory_populated_bytes, IMIG_RECORD_HAS_POPULATED, FALSE),
    FIELD(disk_bytes, 0, FALSE),
    FIELD(downtime_limit_s, IMIG_RECORD_HAS_DOWNTIME_LIMIT, TRUE),
    FIELD(from_link_bytes_per_s, IMIG_RECORD_HAS_FROM_LINK, TRUE),
    FIELD(to_link_bytes_per_s, IMIG_RECORD_HAS_TO_LINK, TRUE),
    FIELD(from_cpu_ratio, 0, FALSE),
    FIELD(from_dirty_ratio, 0, FALSE),
    FIELD(predicted_s, IMIG_RECORD_HAS_PREDICTED, FALSE),
    FIELD(predicted_downtime_s, IMIG_RECORD_HAS_PREDICTED, FALSE),
    FIELD(predicted_bytes, IMIG_RECORD_HAS_PREDICTED, FALSE),
    FIELD(duration_s, IMIG_RECORD_HAS_DURATION, FALSE),
    FIELD(downtime_s, IMIG_RECORD_HAS_DOWNTIME, FALSE),
    FIELD(transferred_bytes, IMIG_RECORD_HAS_TRANSFERRED, FALSE),
#undef FIELD
};

const imig__record_field imig__record_texts[IMIG__RECORD_TEXTS] = {
#define FIELD(name) { #name, offsetof(imig_record, name), 0, FALSE }
    FIELD(run), FIELD(plan), FIELD(vm), FIELD(vm_name), FIELD(from), FIELD(to), FIELD(hypervisor),
    FIELD(message),
#undef FIELD
};

static const char *const outcomes[IMIG_OUTCOME_COUNT] = {
    [IMIG_OUTCOME_UNFINISHED] = "unfinished",
    [IMIG_OUTCOME_DONE] = "done",
    [IMIG_OUTCOME_FAILED] = "failed",
    [IMIG_OUTCOME_CANCELLED] = "cancelled",
};

const char *
imig_outcome_name(int32_t outcome)
{
    return outcome >= 0 && outcome < IMIG_OUTCOME_COUNT ? outcomes[outcome] : NULL;
}

imig_records *
imig_records_new(void)
{
    imig_records *records = g_new(imig_records, 1);

    records->items = g_array_new(FALSE, FALSE, sizeof(imig_record));
    records->texts = g_string_chunk_new(4096);
    return records;
}

void
imig_records_free(imig_records *records)
{
    if (!records)
        return;
    g_array_unref(records->items);
    g_string_chunk_free(records->texts);
    g_free(records);
}

/* Every page costs its sender something: of one that is all zeros, or compressed, a header goes. */
static const double LEAST_OF_MEMORY = 1.0 / 4096;

/* What was measured, each number in itself a possible one. */
static int
check_measured(const imig_record *r, imig_error **error)
{
    const uint64_t both = IMIG_RECORD_HAS_DURATION | IMIG_RECORD_HAS_DOWNTIME;
    double least = LEAST_OF_MEMORY * r->memory_bytes;

    if ((r->present & both) == both && r->downtime_s > r->duration_s)
        return imig__fail(error, IMIG_ERR_INVALID, "downtime_s: %g is more than duration_s, %g",
                          r->downtime_s, r->duration_s);
    if (r->outcome == IMIG_OUTCOME_DONE && r->present & IMIG_RECORD_HAS_TRANSFERRED
        && r->transferred_bytes < least)
        return imig__fail(error, IMIG_ERR_INVALID, "transferred_bytes: %g is less than %g, a byte "
                          "for each page of memory_bytes", r->transferred_bytes, least);
    return IMIG_OK;
}

static int
check_record(imig_record *r, imig_error **error)
{
    for (size_t i = 0; i < IMIG__RECORD_NUMBERS; i++) {
        const imig__record_field *field = &imig__record_numbers[i];
        double value = *imig__record_number(r, field);

        if (field->bit && !(r->present & field->bit)) {
            *imig__record_number(r, field) = 0;
            continue;
        }
        if (!isfinite(value) || value < 0 || (value == 0 && field->above_zero))
            return imig__fail(error, IMIG_ERR_INVALID, "%s: %g is not a number %s", field->name,
                              value, field->above_zero ? "> 0" : ">= 0");
    }
    for (size_t i = 0; i < IMIG__RECORD_TEXTS; i++) {
        const char *text = *imig__record_text(r, &imig__record_texts[i]);

        if (text && !g_utf8_validate(text, -1, NULL))
            return imig__fail(error, IMIG_ERR_INVALID, "%s: not UTF-8",
                              imig__record_texts[i].name);
    }
    if (r->writes != IMIG_WRITES_RANDOM && r->writes != IMIG_WRITES_CYCLIC)
        return imig__fail(error, IMIG_ERR_INVALID, "writes: %d is no imig_writes", r->writes);
    if (r->workload_class < IMIG_WORKLOAD_UNKNOWN || r->workload_class >= IMIG_WORKLOAD_COUNT)
        return imig__fail(error, IMIG_ERR_INVALID, "workload_class: %d is no imig_workload",
                          r->workload_class);
    if (!imig_outcome_name(r->outcome))
        return imig__fail(error, IMIG_ERR_INVALID, "outcome: %d is no imig_outcome", r->outcome);
    return check_measured(r, error);
}

int
imig__record_take(imig_record *into, const imig_record *record, imig_error **error)
{
    int rc = imig__copy_struct(into, sizeof *into, record, RECORD_FIRST_SIZE, error);

    if (rc == IMIG_OK)
        rc = imig__check_set(into->present, IMIG_RECORD_HAS_START << 1, error);
    if (rc == IMIG_OK)
        rc = check_record(into, error);
    into->size = sizeof *into;
    return rc;
}

int
imig_records_add(imig_records *records, const imig_record *record, imig_error **error)
{
    imig_record r;
    int rc;

    if (!records || !record)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "records or record is NULL");
    rc = imig__record_take(&r, record, error);
    if (rc != IMIG_OK)
        return rc;
    for (size_t i = 0; i < IMIG__RECORD_TEXTS; i++) {
        const char **text = imig__record_text(&r, &imig__record_texts[i]);

        if (*text)
            *text = g_string_chunk_insert_const(records->texts, *text);
    }
    g_array_append_val(records->items, r);
    return IMIG_OK;
}

size_t
imig_records_count(const imig_records *records)
{
    return records->items->len;
}

int
imig_records_get(const imig_records *records, size_t index, imig_record *record,
                 imig_error **error)
{
    if (!records || !record)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "records or record is NULL");
    if (index >= records->items->len)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "there is no record %zu", index);
    return imig__fill_struct(record, imig__records_at(records, index), sizeof *record,
                             RECORD_FIRST_SIZE, error);
}
