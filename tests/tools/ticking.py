#!/usr/bin/env python3
"""A game that ticks, alone and beside backups: does anybody at the table notice?

    ticking.py WORLDKEEPER [--seconds 20] [--pairs 5] [--work 15] [--threads 1] [--playing | --no-playing]

Twenty times a second a thread of the "game" has so many milliseconds of work to do, as a server has; a tick is late when it
ends later than it was due plus its work. In turn that is measured alone and beside one backup after the other of 1 GiB that
does not compress (in memory, defaults); they need 1 GiB each until the turn is over. Prints percentiles of each turn, then
the median of the pairs' ratios.

With --playing (the default) backups are told of a game container whose state nobody can tell, so they take it for running.
"""

import argparse
import gc
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

TICK = 0.05


def work(rounds):
    total = 0
    for number in range(rounds):
        total += number * number
    return total


def rounds_for(milliseconds):
    """How many rounds of work take so long where nothing else runs."""
    def timed():
        begun = time.perf_counter()
        work(20_000)
        return time.perf_counter() - begun
    return int(20_000 * milliseconds / 1000 / min(timed() for _ in range(50)))


def play(rounds, seconds):
    """The times from when a tick was due to its end, in seconds."""
    gc.disable()
    due = time.perf_counter()
    end, ticks = due + seconds, []
    while due < end:
        time.sleep(max(0, due - time.perf_counter()))
        work(rounds)
        ticks.append(time.perf_counter() - due)
        due += TICK
    return ticks


def ticks(rounds, seconds, threads):
    """The same of several threads, each a process of its own: Python has a lock that a game has not."""
    readers = []
    for _ in range(threads):
        reader, writer = os.pipe()
        if os.fork() == 0:
            os.write(writer, json.dumps(play(rounds, seconds)).encode())
            os._exit(0)
        os.close(writer)
        readers.append(reader)
    found = []
    for reader in readers:
        with open(reader, "rb") as pipe:
            found += json.loads(pipe.read())
        os.wait()
    return sorted(found)


def percentile(found, share):
    return found[min(len(found) - 1, int(len(found) * share))] * 1000


class Backups:
    """One backup after the other, each into a repository of its own, in a process group of their own."""

    def __init__(self, program, folder, playing):
        self.folder = folder
        environment = {
            "PATH": os.environ["PATH"], "HOME": folder, "BORG_PASSPHRASE": "x", "DOCKER_HOST": "unix:///nowhere",
            "BACKUP_SOURCES": f"{folder}/source", "WORLDKEEPER_STATE_DIR": f"{folder}/made/state",
        }
        if playing:
            environment["GAME_CONTAINER_NAME"] = "game"
        # Nothing is removed meanwhile: that would be work of nobody's.
        loop = """
            for number in $(seq 16); do
                BORG_REPO_PATH="$HOME/made/$number" "$0" backup >/dev/null 2>&1 || exit 1
            done
            """
        self.process = subprocess.Popen(["sh", "-c", loop, program], env=environment, process_group=0)

    def __enter__(self):
        time.sleep(1)

    def __exit__(self, *_):
        if self.process.poll() is not None:
            sys.exit("a backup failed, or the turn was too long")
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        shutil.rmtree(f"{self.folder}/made")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("worldkeeper")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--work", type=float, default=15, help="milliseconds for each tick")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--playing", action=argparse.BooleanOptionalAction, default=True)
    said = parser.parse_args()
    rounds = rounds_for(said.work)
    folder = tempfile.mkdtemp(prefix="ticking-", dir="/dev/shm")
    try:
        os.mkdir(f"{folder}/source")
        for number in range(16):
            with open(f"{folder}/source/{number}", "wb") as file:
                for _ in range(64):
                    file.write(os.urandom(1 << 20))
        ratios = {0.5: [], 0.99: []}
        for _ in range(said.pairs):
            alone = ticks(rounds, said.seconds, said.threads)
            with Backups(os.path.abspath(said.worldkeeper), folder, said.playing):
                beside = ticks(rounds, said.seconds, said.threads)
            for name, found in ("alone", alone), ("beside", beside):
                told = ", ".join(f"p{share * 100:g} {percentile(found, share):.1f} ms" for share in (0.5, 0.9, 0.99))
                print(f"{name:7} {told}, longest {found[-1] * 1000:.1f} ms", flush=True)
            for share, of_pairs in ratios.items():
                of_pairs.append(percentile(beside, share) / percentile(alone, share))
        for share, of_pairs in ratios.items():
            print(f"p{share * 100:g} beside backups, to alone: {statistics.median(of_pairs):.3f} "
                  f"({min(of_pairs):.3f} to {max(of_pairs):.3f})")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
