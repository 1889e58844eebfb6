"""Fetches a file from plain peers: as many equal ranges as peers, a thread for each, written straight to its place. Verifies nothing.

usage: plain_get.py NAME SIZE OUTPUT PORT...          prints {"event": "done", "seconds": S}
"""
import json
import socket
import sys
import threading
import time

BLOCK_BYTES = 64 * 1024


class Range(threading.Thread):
    def __init__(self, name, start, end, output, port):
        super().__init__()
        self.request = (name, start, end)
        self.output = output
        self.port = port
        self.missing = end - start

    def run(self):
        name, start, end = self.request
        with socket.create_connection(('127.0.0.1', self.port)) as connection, open(self.output, 'r+b') as file:
            connection.sendall(f'{name}:{start}:{end}'.encode())
            file.seek(start)
            while block := connection.recv(BLOCK_BYTES):
                file.write(block)
                self.missing -= len(block)


def main():
    name, size, output = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    ports = [int(port) for port in sys.argv[4:]]
    began = time.monotonic()
    with open(output, 'wb') as file:
        file.truncate(size)
    bounds = [size * index // len(ports) for index in range(len(ports) + 1)]
    ranges = [Range(name, bounds[i], bounds[i + 1], output, port) for i, port in enumerate(ports)]
    for part in ranges:
        part.start()
    for part in ranges:
        part.join()
    seconds = time.monotonic() - began
    if any(part.missing for part in ranges):
        sys.exit('a peer closed the connection before its range was whole')
    print(json.dumps({'event': 'done', 'seconds': seconds}), flush=True)


main()
