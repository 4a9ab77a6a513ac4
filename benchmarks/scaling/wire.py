"""A network on one machine: namespaces that are joined by a wire with a delay and a rate. It needs Linux, `ip` and root.

Each namespace has one device, a TUN device. The calling process is the wire: it holds each packet back for the time that
its bytes take at the rate, and then for the delay, and gives it to the other namespace's device. (`tc netem` does the same,
but not every kernel has it.)
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import queue
import shlex
import shutil
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

PREFIX = "graphspec-rank"
MTU = 65_000  # bytes of a packet: fewer packets are less work for this process
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
_TIMER_SLACK = 29
"""``PR_SET_TIMERSLACK``: Linux may wake a thread 50 µs late, and later than a packet is due."""


def why_not() -> str | None:
    """Return why no wire can be made here; None if one can."""
    if sys.platform != "linux" or not Path("/dev/net/tun").exists():
        return "it needs Linux with /dev/net/tun"
    if os.geteuid():
        return "it needs root, to make network namespaces"
    return None


def name(rank: int) -> str:
    """The namespace of a rank."""
    return f"{PREFIX}-{rank}"


def address(rank: int) -> str:
    """The address of a rank on the wire."""
    return f"10.77.0.{rank + 1}"


def job(size: int, *program: str) -> list[str]:
    """Return the command of an MPI job with a rank in each namespace, as if each were a machine."""
    agent = Path(__file__).with_name("enter_namespace.sh")
    hosts = ",".join(f"{address(rank)}:1" for rank in range(size))
    mpiexec = shutil.which("mpiexec", path=Path(sys.executable).parent) or "mpiexec"
    start = [mpiexec, "--prtemca", "plm_ssh_agent", f"/bin/sh {agent}", "--host", hosts, "-n", str(size)]
    return ["/bin/sh", str(agent), address(0), shlex.join([*start, "--map-by", "node", *program])]


@contextmanager
def wire(size: int, delay: float, rate: float) -> Iterator[None]:
    """Join ``size`` new namespaces.

    Args:
        delay: seconds.
        rate: bytes per second that each may send.
    """
    with ExitStack() as stack:
        devices = []
        for rank in range(size):
            run("ip", "netns", "add", name(rank))
            stack.callback(run, "ip", "netns", "del", name(rank))
            run("ip", "-n", name(rank), "link", "set", "lo", "up")
            run("ip", "-n", name(rank), "tuntap", "add", "dev", "wire", "mode", "tun")
            run("ip", "-n", name(rank), "addr", "add", f"{address(rank)}/24", "dev", "wire")
            run("ip", "-n", name(rank), "link", "set", "wire", "mtu", str(MTU), "up")
            devices.append(_device(name(rank)))
        for rank in range(size):
            threading.Thread(target=_carry, args=(rank, devices, delay, rate), daemon=True).start()
        yield


def _device(namespace: str) -> int:
    """Open the TUN device of a namespace, which this thread enters for a moment. It stays open until this process ends."""
    libc = ctypes.CDLL(None, use_errno=True)
    with Path("/proc/self/ns/net").open() as home, Path("/run/netns", namespace).open() as there:
        assert libc.setns(there.fileno(), 0) == 0
        try:
            descriptor = os.open("/dev/net/tun", os.O_RDWR)
            fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", b"wire", IFF_TUN | IFF_NO_PI))
        finally:
            assert libc.setns(home.fileno(), 0) == 0
    return descriptor


def _carry(rank: int, devices: list[int], delay: float, rate: float) -> None:
    """Take what a rank sends, and give each packet to its receiver when the wire has carried it."""
    packets: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()

    def give() -> None:
        _hurry()
        while True:
            due, packet = packets.get()
            while (left := due - time.perf_counter()) > 0:
                time.sleep(left)
            os.write(devices[packet[19] - 1], packet)  # the last byte of the receiver's address

    threading.Thread(target=give, daemon=True).start()
    _hurry()
    free = 0.0
    while True:
        try:
            packet = os.read(devices[rank], MTU)
        except OSError:  # the namespace is gone
            return
        if packet[0] >> 4 == 4 and 1 <= packet[19] <= len(devices):
            free = max(free, time.perf_counter()) + len(packet) / rate
            packets.put((free + delay, packet))


def _hurry() -> None:
    """Let this thread run as soon as it can: ranks that wait may use all cores."""
    ctypes.CDLL(None).prctl(_TIMER_SLACK, 1)
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))


def run(*words: str) -> None:
    subprocess.run(words, check=True)
