/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef UI_H
#define UI_H

/* What the subcommands share: options, units, files, tables, clusters, plans, runs. */

#include <glib.h>
#include <imig/imig.h>
#include <jansson.h>

G_DEFINE_AUTOPTR_CLEANUP_FUNC(imig_affinity, imig_affinity_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(imig_calibration, imig_calibration_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(imig_cluster, imig_cluster_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(imig_connection, imig_connection_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(imig_context, imig_context_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(imig_plan, imig_plan_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(imig_records, imig_records_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(imig_run, imig_run_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(imig_store, imig_store_close)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(json_t, json_decref)

/* Exit statuses.  A function that returns one has said why, in one line on stderr. */
enum {
    UI_GO_ON = -1, /* only of ui_parse() */
    UI_DONE = 0,
    UI_FAILED = 1,
    UI_USAGE = 2,
    UI_PARTIAL = 3,
    UI_INTERRUPTED = 130,
};

/* What the options say that several subcommands have. */
typedef struct ui_common {
    char **uris, *capacities, *output, *affinity, *store_path, *constants;
    int json, quiet, verbose, no_store;
    int64_t seed; /* -1: not given */
    imig_store *store;             /* of ui_store_use(); NULL: none */
    imig_calibration *calibration; /* likewise; NULL: nothing was learned */
} ui_common;

/* ---- ui.c: saying no, files, connections ---- */

/* "imig: ..." on stderr, in one line; returns status. */
int ui_fail(int status, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* Wrong input is UI_USAGE, all else UI_FAILED. */
int ui_status_of(const imig_error *error);

/* ui_fail() with what the library says, behind "prefix: " where prefix is not NULL; frees it. */
int ui_fail_error(const char *prefix, imig_error *error);

/* A whole file, or standard input for "-". */
int ui_read(const char *path, char **text, size_t *length);

/* Asked before anything is done that cannot be taken back. */
int ui_can_write(const char *path);

/* A whole file at once: written beside it, then renamed; or standard output for "-". */
int ui_write(const char *path, const char *text, size_t length);
int ui_write_json(const char *path, json_t *document);

/* UI_DONE, or why standard output could not take what was printed. */
int ui_flush(void);

/* With --transport, for all connections of the process; NULL: the library's. */
extern char *ui_transport;

/* With --measure-dirty, or where that is what the command is for. */
extern int ui_measure_dirty;

/* A context whose agents are this very program, and whose warnings go to stderr. */
int ui_make_context(imig_context **context);

/* Warnings go to stderr, one line each; with --verbose what is being done, too. */
int ui_connect(const ui_common *common, imig_connection **connection);

/* Between the two a terminal shows how long it still takes, unless ui_connect() was told to be
   quiet or to write JSON. */
void ui_countdown_begin(double for_s);
void ui_countdown_end(void);

/* The hypervisors that do not answer, as an array of texts; empty where there is no connection. */
json_t *ui_missing(const imig_connection *connection);

/* Refuses where there is no terminal to ask on, naming --yes: to be known before minutes pass. */
int ui_can_confirm(void);

/* Reads "yes" from the terminal; without one it refuses in the same way. */
int ui_confirm(const char *question);

/* Ctrl-C, SIGTERM and SIGHUP express this wish from now on; the process keeps it. */
imig_cancel *ui_catch_signals(void);

/* From now on migrations are under way: who closes standard output does not end the process. */
void ui_outlive_reader(void);

/* ---- ui-options.c: the command line ---- */

typedef enum ui_kind {
    UI_FLAG,    /* int */
    UI_TEXT,    /* char *; NULL unless given */
    UI_TEXTS,   /* char **; NULL unless given, else NULL-ended */
    UI_NUMBER,  /* double, finite; left as it is unless given, as are those that follow */
    UI_BYTES,   /* double, > 0 */
    UI_BYTES0,  /* double, >= 0 */
    UI_RATE,    /* double, > 0 */
    UI_RATE0,   /* double, >= 0 */
    UI_SECONDS, /* double, > 0 */
    UI_COUNT,   /* int64_t, >= 0 */
    UI_COUNT1,  /* int64_t, >= 1 */
} ui_kind;

typedef struct ui_option {
    const char *name; /* NULL ends a table */
    char letter;      /* 0: none */
    ui_kind kind;
    void *value;
    const char *argument, *help;
} ui_option;

#define UI_COMMON_INIT { .seed = -1 }
#define UI_OPTION_CONNECT(c) { "connect", 'c', UI_TEXTS, &(c)->uris, "URI", \
    "a host, may be repeated: a URI of libvirt, sim:FILE or agent:URI; behind it ,migrate=URI " \
    "and ,id=NAME" }, \
    { "transport", 0, UI_TEXT, &ui_transport, "COMMAND", \
      "how to reach the host of xenctl+ssh://HOST (ssh -T -o BatchMode=yes %h)" }, \
    { "host-capacity", 0, UI_TEXT, &(c)->capacities, "FILE", \
      "imig-capacity/1: what is known better of hosts than they report" }, \
    { "verbose", 'v', UI_FLAG, &(c)->verbose, NULL, "say what is being done, on standard error" }
#define UI_OPTION_JSON(c) { "json", 0, UI_FLAG, &(c)->json, NULL, "write JSON, for programs" }
#define UI_OPTION_OUTPUT(c, what) { "output", 'o', UI_TEXT, &(c)->output, "FILE", what }
#define UI_OPTION_SEED(c) { "seed", 0, UI_COUNT, &(c)->seed, "N", "seed of all that is random (0)" }
#define UI_OPTION_AFFINITY(c) { "affinity", 0, UI_TEXT, &(c)->affinity, "FILE", \
    "CSV table of how workloads slow each other (default: the paper's Table 2)" }
#define UI_OPTION_CONSTANTS(c) { "constants", 0, UI_TEXT, &(c)->constants, "FILE", \
    "imig-constants/1 to predict with (those learned into the store)" }, \
    { "store", 0, UI_TEXT, &(c)->store_path, "FILE", \
      "what was learned, and the history of migrations ($XDG_STATE_HOME/imig/imig.db)" }, \
    { "no-store", 0, UI_FLAG, &(c)->no_store, NULL, "neither read nor write a store" }
#define UI_OPTION_QUIET(c) { "quiet", 'q', UI_FLAG, &(c)->quiet, NULL, "only errors" }
#define UI_OPTION_END { NULL, 0, UI_FLAG, NULL, NULL, NULL }

/* What a subcommand is, for its --help. */
typedef struct ui_command {
    const char *name, *arguments, *summary;
    int least, most; /* arguments that are no options */
} ui_command;

/* Takes the options out of argv; UI_GO_ON, or the status to end with.  `more` may be NULL. */
int ui_parse(const ui_command *command, const ui_option *options, const ui_option *more,
             int *argc, char **argv);

/* Frees the texts that ui_parse() put in. */
void ui_clear(const ui_option *options);

/* ---- ui-units.c ---- */

/* FALSE where the text is no such quantity. */
gboolean ui_parse_quantity(ui_kind kind, const char *text, double *value);

/* Lent until a dozen further calls; NaN gives "-". */
const char *ui_bytes(double value);
const char *ui_rate(double value);
const char *ui_time(double value);
const char *ui_percent(double ratio);

/* How far a prediction was off, as a share of what was measured. */
const char *ui_off(double predicted, double measured);

/* The smallest number that so many of them do not exceed (nearest rank); NaN: there is none.
   sorted: of doubles, by ui_compare_doubles(). */
double ui_quantile(const GArray *sorted, double share);
int ui_compare_doubles(const void *a, const void *b);
const char *ui_cores(double value);

/* Any short text, lent in the same way. */
const char *ui_text(const char *format, ...) G_GNUC_PRINTF(1, 2);

/* ---- ui-table.c ---- */

typedef enum ui_colour { UI_PLAIN, UI_BOLD, UI_RED, UI_GREEN, UI_YELLOW } ui_colour;

gboolean ui_on_terminal(void);
int ui_width(void);
const char *ui_colour_on(ui_colour colour); /* "" where stdout is no terminal */
const char *ui_colour_off(void);

typedef struct ui_table ui_table;

/* Headings: '>' in front means aligned to the right; '|' in front of the last one, that its cells
   go on a line of their own where a terminal is too narrow; NULL ends. */
ui_table *ui_table_new(const char *const *headings);
void ui_table_add(ui_table *table, const char *cell);
void ui_table_add_coloured(ui_table *table, ui_colour colour, const char *cell);
void ui_table_free(ui_table *table);
/* Prints and frees. */
void ui_table_print(ui_table *table);

/* "[######----]" of so many columns; more than full is drawn full. */
const char *ui_bar(double ratio, int columns);

/* ---- ui-cluster.c ---- */

/* How a subcommand comes by its cluster: from a file, or by watching for a while. */
typedef struct ui_watch {
    double for_s, interval_s; /* NaN: 60 s, and a sixth of it but at most 10 s */
    int no_dirty;             /* the dirty rate is not needed */
} ui_watch;

#define UI_WATCH_INIT { NAN, NAN, 0 }
#define UI_OPTION_MEASURE_DIRTY { "measure-dirty", 0, UI_FLAG, &ui_measure_dirty, NULL, \
    "measure dirty rates on Xen, too: see imig(1) about its danger" }
#define UI_OPTION_FOR(w) { "for", 0, UI_SECONDS, &(w)->for_s, "TIME", \
    "watch for so long (60s); simulated hosts only count it" }, UI_OPTION_MEASURE_DIRTY
#define UI_OPTION_INTERVAL(w) { "interval", 0, UI_SECONDS, &(w)->interval_s, "TIME", \
    "between two looks (a sixth of --for, at most 10s)" }

int ui_observe(imig_connection *connection, const ui_watch *watch, imig_cluster **cluster);
int ui_load_cluster(const char *path, imig_cluster **cluster);

int ui_write_cluster(const char *path, const imig_cluster *cluster);

/* From the file, or by watching the URIs; *connection is set in that case. */
int ui_get_cluster(const ui_common *common, const ui_watch *watch, const char *path,
                   imig_connection **connection, imig_cluster **cluster);

/* The id of a VM by id or name; g_free() it. */
int ui_resolve_vm(imig_connection *connection, const char *text, char **id);

/* [vm_count] classes; g_free() them. */
int32_t *ui_classes(const imig_cluster *cluster);

/* Index by id, or by a name that only one has; IMIG_NO_INDEX. */
uint32_t ui_find_host(const imig_cluster *cluster, const char *text);

/* Why there is no such index: nobody has this name, or several have; UI_USAGE. */
int ui_fail_vm(const imig_cluster *cluster, const char *text);
int ui_fail_host(const imig_cluster *cluster, const char *text);
const char *ui_vm_name(const imig_cluster *cluster, const char *id);
const char *ui_host_name(const imig_cluster *cluster, const char *id);

/* What a host carries: the sums over its VMs. */
typedef struct ui_load {
    double cpu_cores, memory_bytes, net_rx_bytes_per_s, net_tx_bytes_per_s;
    uint32_t vms, unmeasured, classes[IMIG_WORKLOAD_COUNT];
} ui_load;

ui_load *ui_loads(const imig_cluster *cluster, const int32_t *classes); /* [host_count] */
double ui_host_memory(const imig_host_info *host); /* what it can give to VMs */

/* unseen: what ui_unseen() gave; NULL: none. */
void ui_print_hosts(const imig_cluster *cluster, char *const *unseen);
void ui_print_vms(const imig_cluster *cluster);
json_t *ui_cluster_figures(const imig_cluster *cluster);

/* ---- ui-dirty.c ---- */

/* Where a VM was not logged while the cluster was watched, logs it now: the cluster becomes one
   that has its dirty rate.  Where that cannot be measured a line on stderr says so: UI_DONE. */
int ui_know_dirty(imig_connection *connection, imig_cluster **cluster, uint32_t vm);

/* ---- ui-missing.c: hosts that do not answer ---- */

/* Those that the cluster does not show: ids, or URIs without secrets; g_strfreev() it. */
char **ui_unseen(const imig_connection *connection, const ui_common *common,
                 const imig_cluster *cluster);

/* The status to end with: where a host is missing that is said, and UI_DONE becomes UI_PARTIAL. */
int ui_missing_status(const imig_connection *connection, int status);

/* UI_DONE where the host answers; else which one does not, or that there is none. */
int ui_fail_missing(const imig_connection *connection, const ui_common *common,
                    const imig_cluster *cluster, const char *host);

/* ---- ui-migration.c: how migrations are done ---- */

/* Which of the options a command takes: it decides, carries out, does a single one, or only
   predicts what was decided. */
enum { UI_DECIDES = 1, UI_CARRIES_OUT = 2, UI_MIGRATES = 4, UI_CHECKS = 8 };

typedef struct ui_migration {
    ui_option table[16];
    double bandwidth, downtime_limit_s, timeout_s, max_downtime_s; /* NaN: not given */
    int64_t concurrency, max_parallel, retries;                    /* -1: not given */
    int copy_disks, unsafe, encrypt, auto_converge, post_copy, force;
    char *on_stall;
    uint64_t flags;    /* IMIG_MIGRATE_*, and what follows: of ui_migration_read() */
    int32_t stall;     /* an imig_stall_action */
} ui_migration;

/* takes: UI_DECIDES | ... */
void ui_migration_init(ui_migration *migration, unsigned int takes);
void ui_migration_clear(ui_migration *migration);

/* After ui_parse(): do the options go together, and what do they say? */
int ui_migration_read(ui_migration *migration);

/* Is anything allowed that ends a migration whose rounds do not shrink? */
gboolean ui_migration_ends(const ui_migration *migration);

void ui_execute_options(const ui_migration *migration, imig_execute_options *options);

/* ---- ui-store.c: history and learned constants ---- */

/* Where the store is by default; to be freed. */
char *ui_store_default(void);

typedef enum ui_store_for {
    UI_STORE_READ,     /* its constants; one that was named must be there */
    UI_STORE_REHEARSE, /* as if to write: it need not be there, and stays as it is */
    UI_STORE_WRITE,    /* it is created where it is not there */
} ui_store_for;

/* Opens the store that was named, or the default one, and reads the constants.  What simulated
   hosts do is written only where it was named.  A default store that cannot be had is no reason to
   fail: a line on stderr says so. */
int ui_store_use(ui_common *common, ui_store_for purpose);
void ui_store_leave(ui_common *common);

/* The one that was named, or the default one, which must be there. */
int ui_store_open(const ui_common *common, uint64_t flags, imig_store **store);

/* Are they all as they are without learning? */
gboolean ui_all_assumed(const imig_constants *constants);

/* "Predicted with ...": where the constants come from, one line; to be freed. */
char *ui_constants_text(const imig_calibration *calibration, const char *hypervisor);

/* The same for a plan with steps, whose hosts may differ, behind an empty line. */
void ui_print_constants(const ui_common *common, const imig_cluster *cluster,
                        const imig_plan *plan);

/* ---- ui-record.c: migrations into the store ---- */

/* NULL where there is no store. */
imig_recorder *ui_recorder_new(const ui_common *common, const imig_cluster *cluster,
                               const imig_execute_options *options);

/* recorder: may be NULL.  The first failure of a run is told. */
void ui_recorder_step(imig_recorder *recorder, const imig_step_report *report, gboolean *failed);

/* What VMs get done beside whom, for imig affinity learn. */
void ui_record_observation(const ui_common *common, const imig_cluster *cluster);

/* ---- ui-deadline.c: a wish to stop once a time is over ---- */

typedef struct ui_deadline ui_deadline;

/* NaN: there is none, and NULL.  free() says whether it passed. */
ui_deadline *ui_deadline_new(double limit_s);
const imig_cancel *ui_deadline_cancel(const ui_deadline *deadline);
gboolean ui_deadline_free(ui_deadline *deadline);

/* ---- ui-names.c: what there is, by name ---- */

/* Index of a name, or -1; name: NULL behind the last one. */
int ui_find_name(const char *(*name)(uint32_t), const char *wanted);

/* "idle, cpu, ...": what a function of the library names, up to NULL.  To be freed. */
char *ui_list_names(const char *(*name)(uint32_t));

/* The names of workload classes, up to NULL. */
const char *ui_class_name(uint32_t index);

/* An option --class: fails, with one line, where it is none. */
int ui_read_class(const char *text, int32_t *class);

/* ---- ui-plan.c: the planner's options, and plans ---- */

/* A table of slowdowns from a file, "-" standard input. */
int ui_load_affinity(const char *path, imig_affinity **affinity);

typedef struct ui_planner {
    ui_option table[40]; /* those of `migration` are among them */
    ui_migration migration;
    char *goal, *policy, *order_policy, *order_by, **drain;
    double threshold, horizon_s, gain_ratio, noise_ratio, max_bytes;
    double tolerance, time_limit_s;
    int64_t max_moves, spare_hosts;
    int explain;
    char *goal_help, *policy_help, *order_policy_help;
} ui_planner;

/* takes: UI_DECIDES | ... */
void ui_planner_init(ui_planner *planner, unsigned int takes);
void ui_planner_clear(ui_planner *planner);

/* After ui_parse(): do the options go together?  Hosts named as arguments are drained, too. */
int ui_planner_read(ui_planner *planner, int n, char *const *hosts);

/* policy: NULL for the one asked for. */
int ui_make_plan(const ui_planner *planner, const ui_common *common, const imig_cluster *cluster,
                 const char *policy, imig_plan **plan);

/* migration: what was not given becomes the plan's own. */
json_t *ui_plan_as_json(const imig_plan *plan);
int ui_load_plan(const char *path, ui_migration *migration, imig_plan **plan);

/* cluster: NULL, or the one the plan was made from.  planner: what was asked for. */
void ui_print_totals(const imig_plan_totals *before, const imig_plan_totals *after);
void ui_print_plan(const imig_plan *plan, const imig_cluster *cluster, const ui_planner *planner);

/* A plan written by hand need not predict anything. */
gboolean ui_is_predicted(double duration_s);

/* UI_DONE, or UI_PARTIAL where the goal cannot be reached whole. */
int ui_plan_status(const imig_plan *plan);

/* ---- ui-run.c: carrying a plan out ---- */

/* What was measured, added up over the steps that ended well. */
typedef struct ui_measured {
    size_t done;
    double time_s, downtime_s, worst_downtime_s, bytes;             /* measured */
    double predicted_s, predicted_downtime_s, predicted_bytes; /* NaN: not of all of them */
} ui_measured;

/* progress: show how it goes. */
int ui_execute(const ui_common *common, imig_connection *connection, const imig_plan *plan,
               const imig_cluster *cluster, imig_execute_options *options, gboolean progress,
               imig_run **run);
void ui_measure(const imig_run *run, const imig_plan *plan, ui_measured *into);
void ui_print_run(const imig_run *run, const imig_plan *plan, const imig_cluster *cluster);
json_t *ui_run_figures(const imig_run *run, const imig_plan *plan);

/* UI_DONE, UI_PARTIAL where a step did not end well, UI_INTERRUPTED where one was cancelled. */
int ui_run_status(const imig_run *run, const imig_plan *plan);

#endif
