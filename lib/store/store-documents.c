/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/store-priv.h"

static const char CONSTANTS[] = "constants";

int
imig_store_set_constants(imig_store *store, const char *text, imig_error **error)
{
    sqlite3_stmt *statement;
    gboolean row;
    int rc;

    if (!store)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "store is NULL");
    rc = imig__store_prepare(store, text ? "INSERT OR REPLACE INTO document(name, text) "
                                           "VALUES (?1, ?2)"
                                         : "DELETE FROM document WHERE name = ?1 OR name = ?2",
                             &statement, error);
    if (rc != IMIG_OK)
        return rc;
    imig__store_bind_text(statement, 1, CONSTANTS);
    imig__store_bind_text(statement, 2, text);
    rc = imig__store_step(store, statement, &row, error);
    sqlite3_finalize(statement);
    return rc;
}

int
imig_store_constants(imig_store *store, char **text, imig_error **error)
{
    sqlite3_stmt *statement;
    gboolean row;
    int rc;

    if (!store || !text)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "store or text is NULL");
    rc = imig__store_prepare(store, "SELECT text FROM document WHERE name = ?1", &statement, error);
    if (rc != IMIG_OK)
        return rc;
    imig__store_bind_text(statement, 1, CONSTANTS);
    rc = imig__store_step(store, statement, &row, error);
    if (rc == IMIG_OK)
        *text = row ? g_strdup((const char *) sqlite3_column_text(statement, 0)) : NULL;
    sqlite3_finalize(statement);
    return rc;
}
