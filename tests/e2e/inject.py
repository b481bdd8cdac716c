"""Makes calls of the C library fail in a running balancer: the library tests/fault/inject.c by LD_PRELOAD, its faults
set here while the program runs."""
import mmap
import struct

NAMES = ("one_byte", "interrupt", "again", "accept_error", "socket_error", "connect_error", "write_error",
         "sync_ms", "wall_s", "injected", "calls")


class Faults:
    def __init__(self, env):
        self.path = env.write("faults", bytes(4 * len(NAMES)))
        with open(self.path, "r+b") as file:
            self.memory = mmap.mmap(file.fileno(), 4 * len(NAMES))
        # Ours stands before the sanitizer's library and calls it in turn.
        self.environ = {"LD_PRELOAD": env.program("tests/fault/inject.so"), "INJECT": self.path,
                        "ASAN_OPTIONS": "abort_on_error=0:exitcode=86:detect_leaks=1:verify_asan_link_order=0"}

    def set(self, **faults):
        """These and no others."""
        for name in NAMES[:-2]:
            struct.pack_into("=i" if name == "wall_s" else "=I", self.memory, 4 * NAMES.index(name), faults.pop(name, 0))
        assert not faults, faults

    @property
    def injected(self):
        """How many calls have been treated so."""
        return struct.unpack_from("=I", self.memory, 4 * NAMES.index("injected"))[0]
