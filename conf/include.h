/* include: the files that a configuration names under `include`, read and merged into its tree
 * before anything is looked at. Knows files and nodes, not what keys mean. Blocking. */
#ifndef MERIDIAN_CONF_INCLUDE_H
#define MERIDIAN_CONF_INCLUDE_H

#include "conf/tree.h"

#define CONF_INCLUDE_DEPTH 8 /* of files that include files */

/* Replaces the key `include` of the root by what the files hold: entries of equal maps are put
 * together, lists one behind the other, anything given twice is reported with both places. Patterns
 * are relative to the folder of the file that they stand in. ERR_SYNTAX: reported, the tree cannot
 * be used; ERR_NO_MEMORY. */
MUST_CHECK
enum err include_files(struct conf_source *source, struct arena *nodes, struct conf_messages *m,
                       struct node *root);

#endif
