# cmake -DFILES=a,b -DOUT=file.c -P embed.cmake: files as constants of C, asset_NAME and asset_NAME_bytes.
set(text "#include \"admin/assets.h\"\n")
string(REPLACE "," ";" FILES "${FILES}")
foreach(file IN LISTS FILES)
  get_filename_component(name "${file}" NAME)
  string(MAKE_C_IDENTIFIER "${name}" name)
  file(READ "${file}" bytes HEX)
  string(REGEX REPLACE "(..)" "0x\\1," bytes "${bytes}")
  string(APPEND text "const unsigned char asset_${name}[] = {${bytes}};\n"
                     "const size_t asset_${name}_bytes = sizeof asset_${name};\n")
endforeach()
file(WRITE "${OUT}" "${text}")
