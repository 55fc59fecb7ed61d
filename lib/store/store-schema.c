/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/records-priv.h"
#include "store/store-priv.h"

/* "imig" in the header of the file, and the version of the tables. */
enum { APPLICATION = 0x696d6967, VERSION = 1 };

static int
read_number(imig_store *store, const char *sql, int64_t *value, imig_error **error)
{
    sqlite3_stmt *statement;
    gboolean row = FALSE;
    int rc = imig__store_prepare(store, sql, &statement, error);

    if (rc != IMIG_OK)
        return rc;
    rc = imig__store_step(store, statement, &row, error);
    if (rc == IMIG_OK)
        *value = row ? sqlite3_column_int64(statement, 0) : 0;
    sqlite3_finalize(statement);
    return rc;
}

/* The columns are the fields of a record. */
static int
create_tables(imig_store *store, imig_error **error)
{
    g_autoptr(GString) sql = g_string_new("CREATE TABLE migration(id INTEGER PRIMARY KEY");
    g_autofree char *rest = NULL;

    for (size_t i = 0; i < IMIG__RECORD_TEXTS; i++)
        g_string_append_printf(sql, ", \"%s\" TEXT", imig__record_texts[i].name);
    for (size_t i = 0; i < IMIG__RECORD_NUMBERS; i++)
        g_string_append_printf(sql, ", \"%s\" REAL", imig__record_numbers[i].name);
    rest = g_strdup_printf(
        ", writes INTEGER NOT NULL, class TEXT, outcome TEXT NOT NULL, rounds INTEGER NOT NULL,"
        " learned_from INTEGER NOT NULL);"
        "CREATE INDEX migration_start ON migration(start_s);"
        "CREATE TABLE document(name TEXT PRIMARY KEY, text TEXT NOT NULL);"
        "CREATE TABLE observation(vm TEXT NOT NULL, time_s REAL NOT NULL, workload TEXT NOT NULL,"
        " class TEXT NOT NULL, work_per_s REAL NOT NULL, beside TEXT NOT NULL,"
        " PRIMARY KEY(vm, time_s)) WITHOUT ROWID;"
        "PRAGMA application_id = %d; PRAGMA user_version = %d", APPLICATION, VERSION);
    g_string_append(sql, rest);
    return imig__store_run(store, sql->str, error);
}

static int
identify(imig_store *store, gboolean *empty, imig_error **error)
{
    int64_t application, version, tables;
    /* At one moment: somebody may be creating it. */
    int rc = imig__store_run(store, "SAVEPOINT look", error);

    if (rc != IMIG_OK)
        return rc;
    rc = read_number(store, "PRAGMA application_id", &application, error);
    if (rc == IMIG_OK)
        rc = read_number(store, "PRAGMA user_version", &version, error);
    if (rc == IMIG_OK)
        rc = read_number(store, "SELECT count(*) FROM sqlite_schema", &tables, error);
    sqlite3_exec(store->db, "RELEASE look", NULL, NULL, NULL);
    if (rc != IMIG_OK)
        return rc;
    *empty = application == 0 && version == 0 && tables == 0;
    if (*empty)
        return IMIG_OK;
    if (application != APPLICATION)
        return imig__fail(error, IMIG_ERR_INVALID, "%s: not a store of imig", store->path);
    if (version != VERSION)
        return imig__fail(error, IMIG_ERR_INVALID, "%s: a store of another release of imig: its "
                          "version is %" G_GINT64_FORMAT ", this one knows %d", store->path,
                          version, VERSION);
    return IMIG_OK;
}

int
imig__store_check(imig_store *store, gboolean read_only, imig_error **error)
{
    gboolean empty;
    int rc = identify(store, &empty, error);

    if (rc == IMIG_OK && !empty && !read_only)
        sqlite3_exec(store->db, "PRAGMA journal_mode = WAL", NULL, NULL, NULL);
    if (rc != IMIG_OK || !empty)
        return rc;
    if (read_only)
        return imig__fail(error, IMIG_ERR_INVALID, "%s: not a store of imig", store->path);
    rc = imig__store_begin(store, error);
    if (rc != IMIG_OK)
        return rc;
    /* Somebody else may have been quicker. */
    rc = identify(store, &empty, error);
    if (rc == IMIG_OK && empty)
        rc = create_tables(store, error);
    rc = imig__store_end(store, rc, error);
    /* Readers do not wait for writers then; it is a property of the file from now on.  SQLite does
       not wait for others here: where they are busy, the next one to open it may do it. */
    if (rc == IMIG_OK)
        sqlite3_exec(store->db, "PRAGMA journal_mode = WAL", NULL, NULL, NULL);
    return rc;
}
