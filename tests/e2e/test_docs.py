"""What the pages say is what the program does."""
import os
import re
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def read(*path):
    with open(os.path.join(ROOT, *path), encoding="utf-8") as page:
        return page.read()


def test_yaml_of_the_pages_is_valid(env):
    for page in ["README.md"]:
        blocks = re.findall(r"```yaml\n(.*?)```", read(page), re.S)
        assert blocks, page
        for block in blocks:
            path = os.path.join(env.dir, "block.yaml")
            with open(path, "w", encoding="utf-8") as file:
                file.write(block)
            done = subprocess.run([env.program("meridian"), "-t", "-c", path], capture_output=True, text=True,
                                  timeout=30)
            assert done.returncode == 0, done.stderr


def test_arrows_are_those_of_the_build(env):
    build = dict(re.findall(r"^meridian_library\((\w+) +\S+ +(?:SEES ([a-z ]+?))?(?: LINK.*)?\)$",
                            read("CMakeLists.txt"), re.M))
    table = dict(re.findall(r"^\| (\w+) \| `[a-z/]+` \| ([^|]+) \|$", read("docs", "architecture.md"), re.M))
    assert set(build) == set(table), set(build) ^ set(table)
    for layer, sees in build.items():
        if layer == "run":
            continue
        told = set(re.findall(r"[a-z]+", table[layer])) - {"nothing"}
        assert told == set(sees.split()), layer


def test_fields_of_the_access_log_are_explained(env):
    code = read("lb", "proxy", "access_log.c")
    names = set(re.findall(r'(?:text|word|number|seconds)\((?:out|b), "(\w+)"', code)) | {"time", "distance_ms"}
    told = set(re.findall(r"`(\w+)`", read("docs", "operations.md")))
    assert names <= told, names - told


def test_installed_files_exist(env):
    for name in re.findall(r"meridian[a-z-]*\.(?:service|socket)", read("deploy", "CMakeLists.txt")):
        assert os.path.exists(os.path.join(ROOT, "deploy", name)), name
