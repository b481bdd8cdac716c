# libmaxminddb, found with or without pkg-config. Defines MaxMindDB::MaxMindDB.
find_package(PkgConfig QUIET)
if(PKG_CONFIG_FOUND)
  pkg_check_modules(PC_MAXMINDDB QUIET libmaxminddb)
endif()
find_path(MAXMINDDB_INCLUDE_DIR maxminddb.h HINTS ${PC_MAXMINDDB_INCLUDE_DIRS})
find_library(MAXMINDDB_LIBRARY maxminddb HINTS ${PC_MAXMINDDB_LIBRARY_DIRS})
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(MaxMindDB REQUIRED_VARS MAXMINDDB_LIBRARY MAXMINDDB_INCLUDE_DIR
                                  VERSION_VAR PC_MAXMINDDB_VERSION)
if(MaxMindDB_FOUND AND NOT TARGET MaxMindDB::MaxMindDB)
  add_library(MaxMindDB::MaxMindDB UNKNOWN IMPORTED)
  set_target_properties(MaxMindDB::MaxMindDB PROPERTIES IMPORTED_LOCATION "${MAXMINDDB_LIBRARY}"
    INTERFACE_SYSTEM_INCLUDE_DIRECTORIES "${MAXMINDDB_INCLUDE_DIR}")
endif()
mark_as_advanced(MAXMINDDB_INCLUDE_DIR MAXMINDDB_LIBRARY)
