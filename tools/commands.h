/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef COMMANDS_H
#define COMMANDS_H

/* The subcommands: argv[0] is the name; each returns an exit status. */

int cmd_affinity(int argc, char **argv);
int cmd_agent(int argc, char **argv);
int cmd_balance(int argc, char **argv);
int cmd_calibrate(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_dirty(int argc, char **argv);
int cmd_history(int argc, char **argv);
int cmd_migrate(int argc, char **argv);
int cmd_observe(int argc, char **argv);
int cmd_pipe(int argc, char **argv);
int cmd_plan(int argc, char **argv);
int cmd_predict(int argc, char **argv);
int cmd_run(int argc, char **argv);
int cmd_simulate(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_watch(int argc, char **argv);

#endif
