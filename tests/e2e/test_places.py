"""Where the control socket is when the configuration does not say so (SURFACE.md, "By hand")."""
import os
import subprocess

from env import Skip, until

NOBODY = 65534


def test_control_socket_in_the_runtime_directory(env):
    balancer = env.simple(env.origin(), admin={"http": "off"})
    assert os.path.exists(balancer.control)
    assert os.stat(balancer.control).st_mode & 0o777 == 0o660
    assert "api" in balancer.ctl("pools")


def test_control_socket_of_a_user_other_than_root(env):
    if os.geteuid() != 0:
        raise Skip("only root can start it as somebody else")
    folder, port = env.path("user"), env.port()
    os.makedirs(folder)
    file = os.path.join(folder, "meridian.yaml")
    with open(file, "w", encoding="utf-8") as page:
        page.write(f'listeners: {{p: {{bind: "127.0.0.1:{port}"}}}}\n'
                   'pools: {api: {backends: {one: {address: "127.0.0.1:9"}}}}\nroutes: [{pool: api}]\n'
                   'admin: {http: off}\n')
    for path in (env.dir, folder):
        os.chmod(path, 0o755)
    runtime = env.path("runtime")
    os.makedirs(runtime, mode=0o700)
    os.chown(runtime, NOBODY, NOBODY)
    environ = {key: value for key, value in os.environ.items() if not key.endswith("_DIRECTORY")}
    environ["XDG_RUNTIME_DIR"] = runtime
    try:
        process = subprocess.Popen([env.program("meridian"), "-c", file], env=environ, user=NOBODY, group=NOBODY,
                                   extra_groups=[], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
    except PermissionError:
        raise Skip("the program is where only root can read it") from None
    try:
        socket = os.path.join(runtime, "meridian", "control.sock")
        until(lambda: os.path.exists(socket), what="the control socket")
        done = subprocess.run([env.program("meridianctl"), "pools"], env=environ, user=NOBODY, group=NOBODY,
                              extra_groups=[], capture_output=True, text=True, timeout=30)
        assert done.returncode == 0 and "api" in done.stdout, done
    finally:
        process.terminate()
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
