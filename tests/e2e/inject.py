"""Makes calls of the C library fail in a running balancer: the library tests/fault/inject.c by LD_PRELOAD, its faults
set here while the program runs."""
import mmap
import os
import struct
import tempfile

NAMES = ("one_byte", "interrupt", "again", "accept_error", "socket_error", "connect_error", "write_error",
         "sync_ms", "wall_s", "injected", "calls")


class Faults:
    def __init__(self, env):
        # A file for each: writing that of another anew would empty it below a program that has it mapped, which ends
        # by SIGBUS where it looks just then.
        fd, self.path = tempfile.mkstemp(prefix="faults", dir=env.dir)
        os.ftruncate(fd, 4 * len(NAMES))
        self.memory = mmap.mmap(fd, 4 * len(NAMES))
        os.close(fd)
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
