# Layers as libraries whose include path holds only what they may see. Each layer has an include root
# of its own with one link in it (include root "base" holds base/ -> lb/base), so that
# `#include "base/err.h"` compiles only where base was named in SEES.

function(meridian_roots target)
  foreach(seen IN LISTS ARGN)
    target_include_directories(${target} PRIVATE "${CMAKE_BINARY_DIR}/roots/${seen}")
  endforeach()
endfunction()

# meridian_library(NAME FOLDER SEES layer... LINK library... WITHOUT file...): every .c file of
# FOLDER but programs and those left out.
function(meridian_library name folder)
  cmake_parse_arguments(arg "" "" "SEES;LINK;WITHOUT" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/${folder}/*.c")
  list(FILTER sources EXCLUDE REGEX "/(main|meridianctl)\\.c$")
  foreach(left IN LISTS arg_WITHOUT)
    list(FILTER sources EXCLUDE REGEX "/${left}\\.c$")
  endforeach()
  file(MAKE_DIRECTORY "${CMAKE_BINARY_DIR}/roots/${name}")
  file(CREATE_LINK "${CMAKE_SOURCE_DIR}/${folder}" "${CMAKE_BINARY_DIR}/roots/${name}/${name}"
       SYMBOLIC)
  if(sources)
    add_library(m_${name} STATIC ${sources})
    meridian_roots(m_${name} ${name} ${arg_SEES})
    target_link_libraries(m_${name} PRIVATE meridian_flags)
    set(scope PRIVATE)
  else()
    add_library(m_${name} INTERFACE)
    set(scope INTERFACE)
  endif()
  foreach(seen IN LISTS arg_SEES)
    target_link_libraries(m_${name} ${scope} m_${seen})
  endforeach()
  target_link_libraries(m_${name} ${scope} ${arg_LINK})
endfunction()

# meridian_program(NAME SOURCE... SEES layer... LINK library...)
function(meridian_program name)
  cmake_parse_arguments(arg "" "" "SEES;LINK" ${ARGN})
  add_executable(${name} ${arg_UNPARSED_ARGUMENTS})
  meridian_roots(${name} ${arg_SEES})
  target_link_libraries(${name} PRIVATE meridian_flags ${arg_LINK})
  foreach(seen IN LISTS arg_SEES)
    target_link_libraries(${name} PRIVATE m_${seen})
  endforeach()
endfunction()
