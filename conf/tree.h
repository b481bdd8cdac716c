/* tree: YAML text as a tree of nodes with marks. The one file that knows libfyaml: its events are
 * turned into our own nodes, so that depth, count and memory are bounded while parsing and a bomb
 * of aliases never grows (RELIABILITY L36). Knows no key. */
#ifndef MERIDIAN_CONF_TREE_H
#define MERIDIAN_CONF_TREE_H

#include "conf/source.h"

/* NODE_BAD was reported already (an alias): readers pass over it without a word. */
enum node_kind { NODE_SCALAR, NODE_MAP, NODE_LIST, NODE_BAD };

struct node {
    enum node_kind kind;
    bool quoted; /* a scalar in quotes or a block: text, never a number or nothing */
    struct conf_mark mark;
    struct span text;          /* NODE_SCALAR; a NUL follows */
    const struct node *key;    /* of an entry of a map, a scalar; else NULL */
    struct node *first, *last; /* entries or elements, in the order of the file */
    struct node *next;         /* sibling */
    size_t count;              /* of children */
    bool wrong; /* readers found an error in it, or it is NODE_BAD: what it says is not known */
};

/* The tree of one of the files. Nodes are taken from arena. *root is NULL where the text holds
 * nothing. ERR_SYNTAX: reported to m, the tree cannot be used; ERR_NO_MEMORY. Aliases, anchors,
 * tags and duplicate keys are reported but leave a tree that can be checked further. */
MUST_CHECK
enum err tree_parse(const struct conf_source *source, size_t file, struct arena *arena,
                    struct conf_messages *m, struct node **root);

/* The child of a map with this key, or NULL. */
const struct node *node_child(const struct node *map, const char *key);

#endif
