"""One libtorrent peer of one torrent: TCP only, unencrypted, no discovery of its own; it knows the peers it is told.

A seeder prints {"event": "listening", "port": N} and stays. A leecher prints {"event": "done", "seconds": S} when every piece has
passed its check, counted from the moment the torrent was added, and ends, or stays to seed with --stay. With --durable the
file is synced to the disk before it counts as done.
"""
import argparse
import json
import os
import sys
import time

import libtorrent

# What every peer here needs to be comparable, over the library's own defaults.
BASE_SETTINGS = {
    'enable_dht': False,
    'enable_lsd': False,
    'enable_upnp': False,
    'enable_natpmp': False,
    'enable_outgoing_utp': False,
    'enable_incoming_utp': False,
    'out_enc_policy': libtorrent.enc_policy.pe_disabled.real,
    'in_enc_policy': libtorrent.enc_policy.pe_disabled.real,
    'alert_mask': libtorrent.alert.category_t.status_notification
    | libtorrent.alert.category_t.storage_notification
    | libtorrent.alert.category_t.error_notification,
}


def parse_arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument('role', choices=['seed', 'leech'])
    parser.add_argument('torrent')
    parser.add_argument('folder')
    parser.add_argument('--listen', default='127.0.0.1:0')
    parser.add_argument('--peer', action='append', default=[], help='HOST:PORT, may be repeated')
    parser.add_argument('--settings', type=json.loads, default={})
    parser.add_argument('--stay', action='store_true')
    parser.add_argument('--durable', action='store_true')
    return parser.parse_args()


def say(**event):
    print(json.dumps(event), flush=True)


def sync(path):
    with open(path, 'r+b') as file:
        os.fsync(file.fileno())


def alerts(session):
    while True:
        session.wait_for_alert(1000)
        for alert in session.pop_alerts():
            if isinstance(alert, (libtorrent.listen_failed_alert, libtorrent.file_error_alert, libtorrent.torrent_error_alert)):
                sys.exit(alert.message())
            yield alert


def main():
    arguments = parse_arguments()
    session = libtorrent.session({**BASE_SETTINGS, 'listen_interfaces': arguments.listen, **arguments.settings})
    wanted = libtorrent.add_torrent_params()
    wanted.ti = libtorrent.torrent_info(arguments.torrent)
    wanted.save_path = arguments.folder
    wanted.flags &= ~(libtorrent.torrent_flags.auto_managed | libtorrent.torrent_flags.paused)
    if arguments.role == 'seed':
        wanted.flags |= libtorrent.torrent_flags.seed_mode
    began = time.monotonic()
    torrent = session.add_torrent(wanted)
    for peer in arguments.peer:
        host, port = peer.rsplit(':', 1)
        torrent.connect_peer((host, int(port)))
    finished = libtorrent.cache_flushed_alert if arguments.durable else libtorrent.torrent_finished_alert
    for alert in alerts(session):
        if isinstance(alert, libtorrent.listen_succeeded_alert):
            say(event='listening', port=session.listen_port())
        elif isinstance(alert, libtorrent.torrent_finished_alert) and arguments.role == 'leech' and arguments.durable:
            torrent.flush_cache()  # answered by the next alert looked for
        elif isinstance(alert, finished) and arguments.role == 'leech':
            if arguments.durable:
                sync(os.path.join(arguments.folder, wanted.ti.files().file_path(0)))
            say(event='done', seconds=time.monotonic() - began)
            if not arguments.stay:
                return


main()
