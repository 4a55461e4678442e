#!/usr/bin/env python3
"""Asks an agent everything that its own document allows, and much that it does not.

Starts an agent on a temporary root with a state directory and a socket of its
own, a proxy from TCP to that socket, and schemathesis (from PATH, or in a
virtual environment of its own), and ends all that it started.

    tests/schemathesis.py GUARDIAN [--examples N] [--phases LIST] [--seed N]

Exit codes: 0 no violation and the agent is well; 1 violations; 77 not possible
here, with the reason.
"""

import argparse
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import venv

VERSION = "4.32.5"
NOT_HERE = 77

# Where a request that fits its schema may still be refused with 400, because a
# schema can't say why: which paths lie beneath a root, which roots there are,
# what is a place in a list, a glob, or an encoding of a path; that fields must
# agree; that 1.0, an integer by JSON Schema, is none here.
REFUSED = [
    ("GET", "^/v1/(files|history|audit|explain|jobs|sessions)$"),
    ("POST", "^/v1/(holds|holds/release|files/track|deletions|deletions/run|trash|trash/.*/restore)$"),
    ("POST", "^/v1/(sweeps|plans|pause)$"),
    ("POST", "^/v1/jobs/.*/complete$"),
    ("PUT", "^/v1/jobs/[^/]*$"),
]
CONFIG = "".join(
    f"""[[operations]]
include-method = "{method}"
include-path-regex = "{path}"
checks.positive_data_acceptance.expected-statuses = ["2xx", 400, 403, 404, 409, 429, 503]

"""
    for method, path in REFUSED
)


def tester(workplace):
    """The command of schemathesis, or why there is none."""
    found = shutil.which("st")
    if found:
        return found, None
    home = os.path.join(workplace, "venv")
    try:
        venv.create(home, with_pip=True)
        subprocess.run(
            [os.path.join(home, "bin", "pip"), "install", "-q", f"schemathesis=={VERSION}"],
            check=True, timeout=300, capture_output=True, text=True,
        )
    except subprocess.CalledProcessError as why:
        return None, f"{why}: {(why.stderr or '').strip().splitlines()[-1:]}"
    except (OSError, subprocess.SubprocessError, SystemExit) as why:
        return None, str(why)
    return os.path.join(home, "bin", "st"), None


def pump(source, sink):
    try:
        while data := source.recv(65536):
            sink.sendall(data)
    except OSError:
        pass
    finally:
        try:
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass


def proxy(path):
    """A TCP port on this host that leads to the socket at `path`."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            far = socket.socket(socket.AF_UNIX)
            try:
                far.connect(path)
            except OSError:
                near.close()
                continue
            threading.Thread(target=pump, args=(near, far), daemon=True).start()
            threading.Thread(target=pump, args=(far, near), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    return listener.getsockname()[1]


def ask(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def furnish(root):
    """Files of jobs, of nobody, and in directories."""
    for name in ["job_a_1", "job_a_chunk_1_x", "job_b_1", "plain", "d/e/f", "job_tree/x"]:
        path = os.path.join(root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(os.urandom(5000))
        os.utime(path, (time.time() - 200_000,) * 2)


def start(guardian, home):
    root = os.path.join(home, "root")
    os.mkdir(root)
    furnish(root)
    config = os.path.join(home, "guardian.toml")
    with open(config, "w") as file:
        file.write(
            f'[agent]\nstate_dir = "{home}/state"\nsocket = "{home}/socket"\nadmin_group = ""\n'
            f'log_format = "text"\n[[root]]\nname = "scratch"\npath = "{root}"\nmin_free = "0"\n'
        )
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GUARDIAN_")}
    log = open(os.path.join(home, "log"), "wb")
    agent = subprocess.Popen(
        [guardian, "--config", config, "run"], stdout=log, stderr=log, env=environment
    )
    return agent, os.path.join(home, "socket")


def until_ready(agent, path, port):
    limit = time.monotonic() + 40
    while time.monotonic() < limit:
        if agent.poll() is not None:
            raise RuntimeError(f"the agent ended: {agent.returncode}")
        try:
            if os.path.exists(path) and ask(port, "/v1/health")[1]["roots"][0]["state"] == "ready":
                return
        except (OSError, ValueError, KeyError, http.client.HTTPException):
            pass
        time.sleep(0.02)
    raise RuntimeError("the agent does not get ready")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("guardian")
    parser.add_argument("--examples", default="10")
    parser.add_argument("--phases", default="examples,coverage,fuzzing,stateful")
    parser.add_argument("--seed", default=None)
    arguments, more = parser.parse_known_args()
    workplace = tempfile.mkdtemp(prefix="guardian-schemathesis-")
    agent = None
    try:
        command, why = tester(workplace)
        if command is None:
            print(f"schemathesis can't be had here: {why}")
            return NOT_HERE
        agent, path = start(os.path.abspath(arguments.guardian), workplace)
        port = proxy(path)
        until_ready(agent, path, port)
        with open(os.path.join(workplace, "schemathesis.toml"), "w") as file:
            file.write(CONFIG)
        call = [
            command, "--config-file", os.path.join(workplace, "schemathesis.toml"), "run",
            f"http://127.0.0.1:{port}/v1/openapi.json", "--url", f"http://127.0.0.1:{port}",
            "--max-examples", arguments.examples, "--phases", arguments.phases,
            # A stream without an end: it has tests of its own.
            "--exclude-path", "/v1/events",
            "--checks", "all", "--continue-on-failure", "--request-timeout", "30", "--no-color", "--warnings", "off",
        ]
        if arguments.seed:
            call += ["--seed", arguments.seed]
        ended = subprocess.run(call + more, cwd=workplace).returncode
        status, health = ask(port, "/v1/health")
        alive = agent.poll() is None
        print(f"the agent afterwards: {'runs' if alive else 'ended'}, answers {status}, is {health['status']}")
        panics = [line for line in open(os.path.join(workplace, "log"), errors="replace") if "panick" in line]
        print("".join(panics), end="")
        well = alive and status == 200 and health["roots"][0]["state"] == "ready" and not panics
        return 0 if ended == 0 and well else 1
    finally:
        if agent is not None and agent.poll() is None:
            agent.terminate()
            try:
                agent.wait(30)
            except subprocess.TimeoutExpired:
                agent.kill()
                agent.wait()
        if os.environ.get("GUARDIAN_KEEP"):
            print(f"kept: {workplace}")
        else:
            shutil.rmtree(workplace, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
