/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/store-priv.h"

#include <math.h>

enum { PATIENCE_MS = 10000 };

int
imig__store_fail(imig_store *store, imig_error **error)
{
    const char *message = sqlite3_errmsg(store->db);

    switch (sqlite3_errcode(store->db) & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return imig__fail(error, IMIG_ERR_BUSY, "%s: others have kept it locked for %d s",
                          store->path, PATIENCE_MS / 1000);
    case SQLITE_NOTADB:
        return imig__fail(error, IMIG_ERR_INVALID, "%s: not a store of imig", store->path);
    case SQLITE_CORRUPT:
        return imig__fail(error, IMIG_ERR_IO, "%s: damaged: %s", store->path, message);
    default:
        return imig__fail(error, IMIG_ERR_IO, "%s: %s", store->path, message);
    }
}

int
imig__store_run(imig_store *store, const char *sql, imig_error **error)
{
    return sqlite3_exec(store->db, sql, NULL, NULL, NULL) == SQLITE_OK
               ? IMIG_OK : imig__store_fail(store, error);
}

int
imig__store_prepare(imig_store *store, const char *sql, sqlite3_stmt **statement,
                    imig_error **error)
{
    return sqlite3_prepare_v2(store->db, sql, -1, statement, NULL) == SQLITE_OK
               ? IMIG_OK : imig__store_fail(store, error);
}

int
imig__store_step(imig_store *store, sqlite3_stmt *statement, gboolean *row, imig_error **error)
{
    int code = sqlite3_step(statement);

    if (code != SQLITE_ROW && code != SQLITE_DONE)
        return imig__store_fail(store, error);
    *row = code == SQLITE_ROW;
    return IMIG_OK;
}

/* At once for writing: a reader that became a writer could not wait for others. */
int
imig__store_begin(imig_store *store, imig_error **error)
{
    return imig__store_run(store, "BEGIN IMMEDIATE", error);
}

int
imig__store_end(imig_store *store, int rc, imig_error **error)
{
    if (rc == IMIG_OK)
        rc = imig__store_run(store, "COMMIT", error);
    if (rc != IMIG_OK)
        sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
    return rc;
}

void
imig__store_bind_text(sqlite3_stmt *statement, int index, const char *text)
{
    sqlite3_bind_text(statement, index, text, -1, SQLITE_TRANSIENT);
}

void
imig__store_bind_number(sqlite3_stmt *statement, int index, double value)
{
    if (isnan(value))
        sqlite3_bind_null(statement, index);
    else
        sqlite3_bind_double(statement, index, value);
}

/* While somebody else creates the file SQLite refuses some questions at once. */
static int
check_patiently(imig_store *store, gboolean read_only, imig_error **error)
{
    gint64 end_us = g_get_monotonic_time() + PATIENCE_MS * 1000;

    for (;;) {
        imig_error *own = NULL;
        int rc = imig__store_check(store, read_only, &own);

        if (rc != IMIG_ERR_BUSY || g_get_monotonic_time() >= end_us) {
            if (rc != IMIG_OK)
                imig__fail(error, rc, "%s", imig_error_message(own));
            imig_error_free(own);
            return rc;
        }
        imig_error_free(own);
        g_usleep(10000);
    }
}

int
imig_store_open(const char *path, uint64_t flags, imig_store **ret_store, imig_error **error)
{
    gboolean read_only = (flags & IMIG_STORE_READ_ONLY) != 0;
    imig_store *store;
    int code, rc = IMIG_OK;

    if (!path || !ret_store)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "path or store is NULL");
    if (flags & ~IMIG_STORE_READ_ONLY)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "a flag is not known");
    if (read_only && !g_file_test(path, G_FILE_TEST_EXISTS))
        return imig__fail(error, IMIG_ERR_NOT_FOUND, "%s: there is no such store", path);
    store = g_new0(imig_store, 1);
    store->path = g_strdup(path);
    code = sqlite3_open_v2(path, &store->db, SQLITE_OPEN_FULLMUTEX
                           | (read_only ? SQLITE_OPEN_READONLY
                                        : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE), NULL);
    if (code != SQLITE_OK)
        rc = imig__store_fail(store, error);
    if (rc == IMIG_OK) {
        sqlite3_busy_timeout(store->db, PATIENCE_MS);
        rc = check_patiently(store, read_only, error);
    }
    if (rc == IMIG_OK)
        *ret_store = store;
    else
        imig_store_close(store);
    return rc;
}

void
imig_store_close(imig_store *store)
{
    if (!store)
        return;
    sqlite3_close(store->db);
    g_free(store->path);
    g_free(store);
}
