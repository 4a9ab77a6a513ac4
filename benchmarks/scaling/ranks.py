"""The model of `graphspec summary --ranks` against a network: ranks in network namespaces exchange gradients and weights.

    python -m benchmarks.scaling.ranks --delay 1 --rate 1000

It needs Linux, `ip` and root. Each rank is a process in a namespace of its own, whose only device is a TUN device. This
process is the wire: it holds each packet back for the time that its bytes take at the rate, and then for the delay, and
gives it to the other rank's device. (`tc netem` does the same, but not every kernel has it.) The ranks do what follows the
gradient in a step: each sends the parts of its n numbers to their owners, which add them in the order of ranks, and sends
its own new part to all. A round is a message to one rank and one from another.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import queue
import socket
import struct
import subprocess
import sys
import threading
import time
from argparse import ArgumentParser
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

import numpy as np

from graphspec.compiler.rank_costs import Network, RankCosts

SIZES = (10_000, 100_000, 1_000_000)
WARM_UP, TIMED = 3, 40
PREFIX = "graphspec-rank"
PORT = 47_100
BUFFER = 4 << 20  # bytes of a socket's buffers: more than a rate times a delay
MTU = 65_000  # bytes of a packet: fewer packets are less work for this process
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000

Array = np.ndarray[tuple[int, ...], np.dtype[np.float32]]


def main() -> None:
    parser = ArgumentParser(prog="python -m benchmarks.scaling.ranks", description=__doc__)
    parser.add_argument("--delay", type=float, default=1.0, help="milliseconds of a message")
    parser.add_argument("--rate", type=float, default=1000.0, help="Mbit/s that a rank sends")
    parser.add_argument("--ranks", type=int, nargs="*", default=[2, 4])
    parser.add_argument("--as-rank", type=int, nargs=2, metavar=("RANK", "OF"))
    options = parser.parse_args()
    if options.as_rank is not None:
        serve(*options.as_rank)
        return
    network = Network(options.rate * 1e6 / 8, options.delay / 1e3)
    print(
        "| ranks | numbers | predicted | fastest | median | fastest / predicted |\n| --- | --- | --- | --- | --- | --- |"
    )
    for size in options.ranks:
        for n, (fastest, median) in zip(SIZES, measure(size, network.latency, network.bandwidth), strict=True):
            predicted = RankCosts(n, size, 0.0, network).step(size).communication
            times = " | ".join(f"{seconds * 1e3:.2f} ms" for seconds in (predicted, fastest, median))
            print(f"| {size} | {n:,} | {times} | {fastest / predicted:.2f} |", flush=True)


def measure(size: int, delay: float, rate: float) -> list[tuple[float, float]]:
    """Return the seconds of the fastest and of the median exchange for each of SIZES; the slowest rank counts.

    Args:
        delay: seconds.
        rate: bytes per second.
    """
    with ExitStack() as stack:
        devices = []
        for rank in range(size):
            name = f"{PREFIX}-{rank}"
            run("ip", "netns", "add", name)
            stack.callback(run, "ip", "netns", "del", name)
            run("ip", "-n", name, "tuntap", "add", "dev", "wire", "mode", "tun")
            run("ip", "-n", name, "addr", "add", f"{address(rank)}/24", "dev", "wire")
            run("ip", "-n", name, "link", "set", "wire", "mtu", str(MTU), "up")
            devices.append(device(name))
        for rank in range(size):
            threading.Thread(target=carry, args=(rank, devices, delay, rate), daemon=True).start()
        command = [sys.executable, "-m", "benchmarks.scaling.ranks"]
        processes = [
            subprocess.Popen(
                ["ip", "netns", "exec", f"{PREFIX}-{rank}", *command, "--as-rank", str(rank), str(size)],
                stdout=subprocess.PIPE,
                cwd=Path(__file__).parents[2],
                text=True,
            )
            for rank in range(size)
        ]
        said = [process.communicate(timeout=600)[0].splitlines() for process in processes]
    times = np.array([[[float(word) for word in line.split()] for line in lines] for lines in said])
    slowest = times.max(axis=0)  # of the ranks, for each size and exchange
    return [(float(row.min()), float(np.median(row))) for row in slowest]


def device(namespace: str) -> int:
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


def carry(rank: int, devices: list[int], delay: float, rate: float) -> None:
    """Take what a rank sends, and give each packet to its receiver when the wire has carried it."""
    packets: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()

    def give() -> None:
        while True:
            due, packet = packets.get()
            while (left := due - time.perf_counter()) > 0:
                time.sleep(left)
            os.write(devices[packet[19] - 1], packet)  # the last byte of the receiver's address

    threading.Thread(target=give, daemon=True).start()
    free = 0.0
    while True:
        packet = os.read(devices[rank], MTU)
        if packet[0] >> 4 == 4 and 1 <= packet[19] <= len(devices):
            free = max(free, time.perf_counter()) + len(packet) / rate
            packets.put((free + delay, packet))


def run(*words: str) -> None:
    subprocess.run(words, check=True)


def address(rank: int) -> str:
    return f"10.77.0.{rank + 1}"


def serve(rank: int, size: int) -> None:
    """Exchange as one rank, and print the seconds of each exchange, a line for each size."""
    peers = connect(rank, size)
    for n in SIZES:
        edges = np.linspace(0, n, size + 1).astype(int)
        parts = [slice(a, b) for a, b in pairwise(edges)]
        gradient, weights = np.full(n, rank + 1, np.float32), np.zeros(n, np.float32)
        received = np.empty((size, parts[rank].stop - parts[rank].start), np.float32)
        times = []
        for _ in range(WARM_UP + TIMED):
            barrier(peers)
            start = time.perf_counter()
            exchange(peers, rank, size, gradient, parts, weights, received)
            times.append(time.perf_counter() - start)
        assert (weights == size * (size + 1) / 2).all()
        print(*times[WARM_UP:])


def exchange(
    peers: dict[int, socket.socket],
    rank: int,
    size: int,
    gradient: Array,
    parts: list[slice],
    weights: Array,
    received: Array,
) -> None:
    """Send the parts of the gradient to their owners, add one's own in the order of ranks, and send the sum to all."""
    received[rank] = gradient[parts[rank]]
    for k in range(1, size):
        to, source = (rank + k) % size, (rank - k) % size
        swap(peers[to], gradient[parts[to]], peers[source], received[source])
    own = weights[parts[rank]]
    own[...] = received[0]
    for row in received[1:]:
        own += row
    for k in range(1, size):
        to, source = (rank + k) % size, (rank - k) % size
        swap(peers[to], own, peers[source], weights[parts[source]])


def swap(to: socket.socket, sent: Array, source: socket.socket, received: Array) -> None:
    """Send an array to one rank while receiving one from another."""
    sender = threading.Thread(target=to.sendall, args=(memoryview(sent).cast("B"),))
    sender.start()
    view = memoryview(received).cast("B")
    while view:
        got = source.recv_into(view)
        assert got
        view = view[got:]
    sender.join()


def barrier(peers: dict[int, socket.socket]) -> None:
    """Wait for all ranks."""
    for peer in peers.values():
        peer.sendall(b".")
    for peer in peers.values():
        assert peer.recv(1) == b"."


def connect(rank: int, size: int) -> dict[int, socket.socket]:
    """Return a connection to each other rank: higher ranks call lower ones."""
    peers: dict[int, socket.socket] = {}
    with socket.create_server((address(rank), PORT)) as server:
        for other in range(rank):
            peers[other] = call(other)
            peers[other].sendall(bytes([rank]))
        while len(peers) < size - 1:
            peer, _ = server.accept()
            peers[peer.recv(1)[0]] = peer
    for peer in peers.values():
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
    return peers


def call(other: int) -> socket.socket:
    """Connect to a rank that may not have started yet."""
    for _ in range(600):
        try:
            return socket.create_connection((address(other), PORT))
        except ConnectionRefusedError:
            time.sleep(0.05)
    raise TimeoutError(f"rank {other} does not answer")


if __name__ == "__main__":
    main()
