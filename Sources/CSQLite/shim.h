#ifndef MLOS_CSQLITE_SHIM_H
#define MLOS_CSQLITE_SHIM_H

#include <sqlite3.h>

/* SQLITE_TRANSIENT is a cast of -1 to a function pointer, which Swift cannot write. SQLite copies the text before it returns.
   `text` may be null only where `count` is 0. The answer is a code of SQLite's. */
static inline int mlos_sqlite_bind_text(sqlite3_stmt *_Nonnull statement, int index, const char *_Nullable text, int count) {
  return sqlite3_bind_text(statement, index, text ? text : "", count, SQLITE_TRANSIENT);
}

/* sqlite3_db_config is variadic. After this, closing the last connection leaves the write-ahead log as it is. */
static inline int mlos_sqlite_keep_log_on_close(sqlite3 *_Nonnull database) {
  return sqlite3_db_config(database, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, (int *)0);
}

/* sqlite3_db_config is variadic. Afterwards no statement can damage the file or its schema by pragmas meant for repair. */
static inline int mlos_sqlite_set_defensive(sqlite3 *_Nonnull database) {
  return sqlite3_db_config(database, SQLITE_DBCONFIG_DEFENSIVE, 1, (int *)0);
}

#endif
