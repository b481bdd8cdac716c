/* assets: the files of the status page, built into the program by cmake/embed.cmake. */
#ifndef MERIDIAN_ADMIN_ASSETS_H
#define MERIDIAN_ADMIN_ASSETS_H

#include <stddef.h>

extern const unsigned char asset_status_css[], asset_status_js[], asset_icon_svg[], asset_map_js[];
extern const size_t asset_status_css_bytes, asset_status_js_bytes, asset_icon_svg_bytes,
    asset_map_js_bytes; /* 0: built without the map */

#endif
