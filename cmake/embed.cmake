# cmake -DFILES=a,b -DOUT=file.c -P embed.cmake: files as constants of C, asset_NAME and asset_NAME_bytes.
set(text "#include \"admin/assets.h\"\n")
string(REPLACE "," ";" FILES "${FILES}")
foreach(file IN LISTS FILES)
  get_filename_component(name "${file}" NAME)
  string(MAKE_C_IDENTIFIER "${name}" name)
  file(READ "${file}" bytes HEX)
  string(REGEX REPLACE "(..)" "0x\\1," bytes "${bytes}")
  string(LENGTH "${bytes}" length)
  math(EXPR length "${length} / 5") # of "0x12,"
  string(APPEND text "const unsigned char asset_${name}[] = {${bytes}0};\n"
                     "const size_t asset_${name}_bytes = ${length};\n")
endforeach()
file(WRITE "${OUT}" "${text}")
