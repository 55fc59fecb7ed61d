/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_STORE_PRIV_H
#define IMIG_STORE_PRIV_H

/* SQLite, and what it says, as errors of this library. */

#include "base/base-priv.h"

#include <imig/store.h>
#include <sqlite3.h>

struct imig_store {
    sqlite3 *db;
    char *path;
};

/* What the database says went wrong, with the path in front. */
int imig__store_fail(imig_store *store, imig_error **error);

/* Statements without results. */
int imig__store_run(imig_store *store, const char *sql, imig_error **error);

/* To be ended with sqlite3_finalize(). */
int imig__store_prepare(imig_store *store, const char *sql, sqlite3_stmt **statement,
                        imig_error **error);

/* IMIG_OK at a row, or at the end, which *row says. */
int imig__store_step(imig_store *store, sqlite3_stmt *statement, gboolean *row,
                     imig_error **error);

/* Around what is written as a whole: ends it well where rc is IMIG_OK, and answers what became of
   it. */
int imig__store_begin(imig_store *store, imig_error **error);
int imig__store_end(imig_store *store, int rc, imig_error **error);

/* store-schema.c: is it ours, and as new as we are?  Creates what an empty file has not. */
int imig__store_check(imig_store *store, gboolean read_only, imig_error **error);

/* Texts that may be NULL; numbers that are NULL where they are NaN. */
void imig__store_bind_text(sqlite3_stmt *statement, int index, const char *text);
void imig__store_bind_number(sqlite3_stmt *statement, int index, double value);

#endif
