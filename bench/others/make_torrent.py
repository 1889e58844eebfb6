"""Writes a version 1 torrent (SHA-1 pieces) of one file, without a tracker.

usage: make_torrent.py FILE PIECE_BYTES OUTPUT
"""
import os
import sys

import libtorrent


def main():
    path, piece_bytes, output = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    files = libtorrent.file_storage()
    libtorrent.add_files(files, path)
    torrent = libtorrent.create_torrent(files, piece_bytes, libtorrent.create_torrent.v1_only)
    libtorrent.set_piece_hashes(torrent, os.path.dirname(path))
    with open(output, 'wb') as file:
        file.write(libtorrent.bencode(torrent.generate()))


main()
