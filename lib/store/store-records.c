/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/records-priv.h"
#include "store/store-priv.h"

#include <math.h>

#define FILTER_FIRST_SIZE IMIG__END_OF(imig_store_filter, reserved)

/* Columns behind id, in this order: texts, numbers, and these. */
static const char *const others[] = { "writes", "class", "outcome", "rounds", "learned_from" };
enum { COLUMNS = IMIG__RECORD_TEXTS + IMIG__RECORD_NUMBERS + G_N_ELEMENTS(others) };

static const char *
column_name(size_t i)
{
    if (i < IMIG__RECORD_TEXTS)
        return imig__record_texts[i].name;
    i -= IMIG__RECORD_TEXTS;
    return i < IMIG__RECORD_NUMBERS ? imig__record_numbers[i].name
                                    : others[i - IMIG__RECORD_NUMBERS];
}

static void
append_names(GString *sql, const char *behind)
{
    for (size_t i = 0; i < COLUMNS; i++)
        g_string_append_printf(sql, "%s\"%s\"%s", i > 0 ? ", " : "", column_name(i), behind);
}

/* From the first parameter on. */
static void
bind_record(sqlite3_stmt *statement, const imig_record *record)
{
    imig_record r = *record;
    int at = 1;

    for (size_t i = 0; i < IMIG__RECORD_TEXTS; i++)
        imig__store_bind_text(statement, at++, *imig__record_text(&r, &imig__record_texts[i]));
    for (size_t i = 0; i < IMIG__RECORD_NUMBERS; i++) {
        const imig__record_field *field = &imig__record_numbers[i];

        imig__store_bind_number(statement, at++, field->bit && !(r.present & field->bit)
                                                     ? NAN : *imig__record_number(&r, field));
    }
    sqlite3_bind_int(statement, at++, r.writes);
    imig__store_bind_text(statement, at++, r.workload_class == IMIG_WORKLOAD_UNKNOWN
                                               ? NULL : imig_workload_name(r.workload_class));
    imig__store_bind_text(statement, at++, imig_outcome_name(r.outcome));
    sqlite3_bind_int64(statement, at++, r.rounds);
    sqlite3_bind_int64(statement, at++, r.learned_from);
    g_assert(at == COLUMNS + 1);
}

static int
add_all(imig_store *store, const imig_records *records, int64_t *ids, imig_error **error)
{
    g_autoptr(GString) sql = g_string_new("INSERT INTO migration(");
    sqlite3_stmt *statement;
    int rc;

    append_names(sql, "");
    g_string_append(sql, ") VALUES (?");
    for (size_t i = 1; i < COLUMNS; i++)
        g_string_append(sql, ", ?");
    g_string_append_c(sql, ')');
    rc = imig__store_prepare(store, sql->str, &statement, error);
    for (size_t i = 0; rc == IMIG_OK && i < imig_records_count(records); i++) {
        gboolean row;

        bind_record(statement, imig__records_at(records, i));
        rc = imig__store_step(store, statement, &row, error);
        sqlite3_reset(statement);
        ids[i] = sqlite3_last_insert_rowid(store->db);
    }
    sqlite3_finalize(statement);
    return rc;
}

int
imig_store_add(imig_store *store, const imig_records *records, int64_t *ids, imig_error **error)
{
    g_autofree int64_t *given = NULL;
    size_t n;
    int rc;

    if (!store || !records)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "store or records is NULL");
    n = imig_records_count(records);
    given = g_new(int64_t, n + 1);
    rc = imig__store_begin(store, error);
    if (rc != IMIG_OK)
        return rc;
    rc = imig__store_end(store, add_all(store, records, given, error), error);
    for (size_t i = 0; rc == IMIG_OK && ids && i < n; i++)
        ids[i] = given[i];
    return rc;
}

int
imig_store_replace(imig_store *store, int64_t id, const imig_record *record, imig_error **error)
{
    g_autoptr(GString) sql = g_string_new("UPDATE migration SET ");
    sqlite3_stmt *statement;
    imig_record r;
    gboolean row;
    int rc;

    if (!store || !record)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "store or record is NULL");
    rc = imig__record_take(&r, record, error);
    if (rc != IMIG_OK)
        return rc;
    append_names(sql, " = ?");
    g_string_append(sql, " WHERE id = ?");
    rc = imig__store_prepare(store, sql->str, &statement, error);
    if (rc != IMIG_OK)
        return rc;
    bind_record(statement, &r);
    sqlite3_bind_int64(statement, COLUMNS + 1, id);
    rc = imig__store_step(store, statement, &row, error);
    sqlite3_finalize(statement);
    if (rc == IMIG_OK && sqlite3_changes(store->db) == 0)
        return imig__fail(error, IMIG_ERR_NOT_FOUND, "%s: there is no migration %" G_GINT64_FORMAT,
                          store->path, id);
    return rc;
}

static const char *
text_at(sqlite3_stmt *statement, int column)
{
    return (const char *) sqlite3_column_text(statement, column);
}

static int32_t
outcome_from_name(const char *name)
{
    for (int32_t i = 0; imig_outcome_name(i); i++)
        if (g_strcmp0(imig_outcome_name(i), name) == 0)
            return i;
    return -1;
}

static int
read_row(imig_store *store, sqlite3_stmt *statement, imig_records *records, imig_error **error)
{
    imig_record r = IMIG_RECORD_INIT;
    const char *name;
    int at = 0;

    r.id = sqlite3_column_int64(statement, at++);
    for (size_t i = 0; i < IMIG__RECORD_TEXTS; i++)
        *imig__record_text(&r, &imig__record_texts[i]) = text_at(statement, at++);
    for (size_t i = 0; i < IMIG__RECORD_NUMBERS; i++, at++)
        if (sqlite3_column_type(statement, at) != SQLITE_NULL) {
            *imig__record_number(&r, &imig__record_numbers[i]) = sqlite3_column_double(statement,
                                                                                       at);
            r.present |= imig__record_numbers[i].bit;
        }
    r.writes = sqlite3_column_int(statement, at++);
    name = text_at(statement, at++);
    r.workload_class = name ? imig_workload_from_name(name) : IMIG_WORKLOAD_UNKNOWN;
    r.outcome = outcome_from_name(text_at(statement, at++));
    r.rounds = (uint32_t) sqlite3_column_int64(statement, at++);
    r.learned_from = (uint32_t) sqlite3_column_int64(statement, at++);
    if (imig_records_add(records, &r, error) == IMIG_OK)
        return IMIG_OK;
    imig__error_prefix(error, "%s: migration %" G_GINT64_FORMAT, store->path, r.id);
    return IMIG_ERR_INVALID;
}

static void
add_condition(GString *sql, gboolean wanted, const char *condition)
{
    if (wanted)
        g_string_append_printf(sql, " AND (%s)", condition);
}

static int
prepare_query(imig_store *store, const imig_store_filter *f, sqlite3_stmt **statement,
              imig_error **error)
{
    g_autoptr(GString) sql = g_string_new("SELECT * FROM (SELECT id, ");
    int rc;

    append_names(sql, "");
    g_string_append(sql, " FROM migration WHERE 1");
    add_condition(sql, f->vm != NULL, "vm = ?1 OR vm_name = ?1");
    add_condition(sql, f->host != NULL, "\"from\" = ?2 OR \"to\" = ?2");
    add_condition(sql, f->hypervisor != NULL, "coalesce(hypervisor, 'qemu') = ?3");
    add_condition(sql, f->set & IMIG_FILTER_HAS_SINCE, "start_s >= ?4");
    add_condition(sql, f->set & IMIG_FILTER_HAS_UNTIL, "start_s < ?5");
    add_condition(sql, f->set & IMIG_FILTER_HAS_CLASS, "class = ?6");
    add_condition(sql, f->set & IMIG_FILTER_HAS_OUTCOME, "outcome = ?7");
    g_string_append(sql, " ORDER BY start_s DESC, id DESC LIMIT ?8) ORDER BY start_s, id");
    rc = imig__store_prepare(store, sql->str, statement, error);
    if (rc != IMIG_OK)
        return rc;
    imig__store_bind_text(*statement, 1, f->vm);
    imig__store_bind_text(*statement, 2, f->host);
    imig__store_bind_text(*statement, 3, f->hypervisor);
    sqlite3_bind_double(*statement, 4, f->since_s);
    sqlite3_bind_double(*statement, 5, f->until_s);
    imig__store_bind_text(*statement, 6, imig_workload_name(f->workload_class));
    imig__store_bind_text(*statement, 7, imig_outcome_name(f->outcome));
    sqlite3_bind_int64(*statement, 8, f->latest > 0 ? (int64_t) f->latest : -1);
    return IMIG_OK;
}

int
imig_store_records(imig_store *store, const imig_store_filter *filter, imig_records **records,
                   imig_error **error)
{
    imig_store_filter f;
    sqlite3_stmt *statement;
    imig_records *found;
    gboolean row;
    int rc;

    if (!store || !records)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "store or records is NULL");
    rc = imig__copy_struct(&f, sizeof f, filter, FILTER_FIRST_SIZE, error);
    if (rc == IMIG_OK)
        rc = imig__check_set(f.set, IMIG_FILTER_HAS_OUTCOME << 1, error);
    if (rc == IMIG_OK)
        rc = prepare_query(store, &f, &statement, error);
    if (rc != IMIG_OK)
        return rc;
    found = imig_records_new();
    while ((rc = imig__store_step(store, statement, &row, error)) == IMIG_OK && row)
        if ((rc = read_row(store, statement, found, error)) != IMIG_OK)
            break;
    sqlite3_finalize(statement);
    if (rc == IMIG_OK)
        *records = found;
    else
        imig_records_free(found);
    return rc;
}
