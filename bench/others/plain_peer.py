"""A plain file server: a thread for each connection, a line `name:start:end` in, exactly those bytes out. Verifies nothing.

usage: plain_peer.py FOLDER [HOST]   prints {"event": "listening", "port": N} and serves on HOST (127.0.0.1) until it is ended
"""
import json
import os
import socket
import sys
import threading

BLOCK_BYTES = 64 * 1024
REQUEST_BYTES_MAX = 4096


def serve(connection, folder):
    with connection:
        name, start, end = connection.recv(REQUEST_BYTES_MAX).decode().rsplit(':', 2)
        with open(os.path.join(folder, os.path.basename(name)), 'rb') as file:
            file.seek(int(start))
            left = int(end) - int(start)
            while left > 0:
                block = file.read(min(BLOCK_BYTES, left))
                if not block:
                    return
                connection.sendall(block)
                left -= len(block)


def main():
    folder = sys.argv[1]
    host = sys.argv[2] if len(sys.argv) > 2 else '127.0.0.1'
    with socket.create_server((host, 0)) as listener:
        print(json.dumps({'event': 'listening', 'port': listener.getsockname()[1]}), flush=True)
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=serve, args=(connection, folder), daemon=True).start()


main()
