# One interface library with the warnings, the hardening and the sanitizers of the chosen preset.

set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()

option(MERIDIAN_WERROR "Warnings are errors" OFF)
set(MERIDIAN_SANITIZE "" CACHE STRING "Sanitizers, e.g. address,undefined or thread")
option(MERIDIAN_COVERAGE "Measure coverage" OFF)

add_library(meridian_flags INTERFACE)
target_compile_definitions(meridian_flags INTERFACE _GNU_SOURCE EV_COMPAT3=0
                           MERIDIAN_VERSION="${PROJECT_VERSION}")
target_compile_options(meridian_flags INTERFACE
  -Wall -Wextra -Wconversion -Wshadow -Wvla -Wmissing-prototypes -Wstrict-prototypes
  -Wswitch-enum -Wpointer-arith -Wwrite-strings -Wundef -Wformat=2
  -fstack-protector-strong -fstack-clash-protection -fno-common -fno-strict-aliasing)
if(MERIDIAN_WERROR)
  target_compile_options(meridian_flags INTERFACE -Werror)
endif()
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|i.86")
  target_compile_options(meridian_flags INTERFACE -fcf-protection=full)
endif()
if(MERIDIAN_SANITIZE)
  target_compile_options(meridian_flags INTERFACE -fsanitize=${MERIDIAN_SANITIZE}
                         -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(meridian_flags INTERFACE -fsanitize=${MERIDIAN_SANITIZE})
  if(MERIDIAN_SANITIZE MATCHES "thread")
    target_compile_definitions(meridian_flags INTERFACE MERIDIAN_TSAN=1)
  endif()
elseif(CMAKE_BUILD_TYPE STREQUAL "Release" OR CMAKE_BUILD_TYPE STREQUAL "RelWithDebInfo")
  target_compile_options(meridian_flags INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
endif()
if(MERIDIAN_COVERAGE)
  target_compile_options(meridian_flags INTERFACE --coverage -fprofile-update=atomic)
  target_link_options(meridian_flags INTERFACE --coverage)
  add_custom_target(coverage COMMAND "${CMAKE_SOURCE_DIR}/scripts/coverage.py" "${CMAKE_BINARY_DIR}" USES_TERMINAL)
endif()
target_link_options(meridian_flags INTERFACE -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack)
# Assertions guard the state machines in release builds too (RELIABILITY S3).
string(REPLACE "-DNDEBUG" "" CMAKE_C_FLAGS_RELEASE "${CMAKE_C_FLAGS_RELEASE}")
string(REPLACE "-O3" "-O2" CMAKE_C_FLAGS_RELEASE "${CMAKE_C_FLAGS_RELEASE}")
string(REPLACE "-DNDEBUG" "" CMAKE_C_FLAGS_RELWITHDEBINFO "${CMAKE_C_FLAGS_RELWITHDEBINFO}")

include(CheckPIESupported)
check_pie_supported(LANGUAGES C)
find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_C_COMPILER_LAUNCHER "${CCACHE}")
endif()
