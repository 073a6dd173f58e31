"""Loads borg once, then runs one command after the other, each in a fork.

A request is a line of JSON with `args`, `env`, `cwd`, `stdout` and `stderr` (paths); the answer is a line with the
status that `waitpid` gave.
"""

import json
import os
import sys
import traceback

import borg.archiver


def command(request):
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        os.dup2(os.open(request[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), descriptor)
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    sys.argv = ["borg"] + request["args"]
    try:
        borg.archiver.main()
        code = 0
    except SystemExit as end:
        code = end.code or 0
    except BaseException:
        traceback.print_exc()
        code = 2
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


for line in sys.stdin:
    child = os.fork()
    if child == 0:
        command(json.loads(line))
    print(os.waitpid(child, 0)[1], flush=True)
