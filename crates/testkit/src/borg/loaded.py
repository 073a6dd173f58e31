"""Loads borg once; what follows forks, and each child becomes a borg that has begun already."""

import os
import sys
import traceback

import borg.archiver


def become_borg(args):
    sys.argv = ["borg"] + args
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
