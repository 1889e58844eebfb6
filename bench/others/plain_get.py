"""Fetches a file from plain peers: as many equal ranges as peers, a thread for each, written straight to its place. Verifies nothing.

usage: plain_get.py [--durable] NAME SIZE OUTPUT [HOST:]PORT...   --durable: synced to the disk before it counts; prints {"event": "done", "seconds": S}
"""
import json
import os
import socket
import sys
import threading
import time

BLOCK_BYTES = 64 * 1024


class Range(threading.Thread):
    def __init__(self, name, start, end, output, address):
        super().__init__()
        self.request = (name, start, end)
        self.output = output
        self.address = address
        self.missing = end - start

    def run(self):
        name, start, end = self.request
        with socket.create_connection(self.address) as connection, open(self.output, 'r+b') as file:
            connection.sendall(f'{name}:{start}:{end}'.encode())
            file.seek(start)
            while block := connection.recv(BLOCK_BYTES):
                file.write(block)
                self.missing -= len(block)


def address_of(argument):
    host, _, port = argument.rpartition(':')
    return (host or '127.0.0.1', int(port))


def main():
    arguments = [argument for argument in sys.argv[1:] if argument != '--durable']
    durable = len(arguments) < len(sys.argv) - 1
    name, size, output = arguments[0], int(arguments[1]), arguments[2]
    addresses = [address_of(argument) for argument in arguments[3:]]
    began = time.monotonic()
    with open(output, 'wb') as file:
        file.truncate(size)
    bounds = [size * index // len(addresses) for index in range(len(addresses) + 1)]
    ranges = [Range(name, bounds[i], bounds[i + 1], output, address) for i, address in enumerate(addresses)]
    for part in ranges:
        part.start()
    for part in ranges:
        part.join()
    if durable:
        with open(output, 'r+b') as file:
            os.fsync(file.fileno())
    seconds = time.monotonic() - began
    if any(part.missing for part in ranges):
        sys.exit('a peer closed the connection before its range was whole')
    print(json.dumps({'event': 'done', 'seconds': seconds}), flush=True)


main()
