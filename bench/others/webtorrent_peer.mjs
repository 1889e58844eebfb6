/*
 * One WebTorrent peer of one torrent, TCP only, without discovery; it knows the peers it is told.
 *
 * usage: node webtorrent_peer.mjs MODULES seed|leech TORRENT FOLDER [HOST:PORT...]      MODULES: the node_modules that has the package
 *
 * A seeder prints {"event": "listening", "port": N} and stays. A leecher prints {"event": "done", "seconds": S} when it has the file,
 * counted from adding the torrent, and ends.
 */
import { readFileSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [modules, role, torrentPath, folder, ...peers] = process.argv.slice(2);
// WebRTC is native code that its package builds or downloads when it is installed; over TCP nobody needs it
const NO_WEBRTC = 'data:text/javascript,export let RTCPeerConnection, RTCSessionDescription, RTCIceCandidate';
registerHooks({
  resolve: (specifier, context, next) =>
    specifier === 'webrtc-polyfill' ? { url: NO_WEBRTC, shortCircuit: true } : next(specifier, context),
});
const { default: WebTorrent } = await import(pathToFileURL(join(modules, 'webtorrent', 'index.js')).href);

const say = (event) => process.stdout.write(`${JSON.stringify(event)}\n`);
const fail = (error) => {
  process.stderr.write(`${error.message ?? error}\n`);
  process.exit(1);
};

const client = new WebTorrent({ dht: false, lsd: false, tracker: false, utp: false, natUpnp: false, natPmp: false });
client.on('error', fail);
const startedAtMs = performance.now();
const torrent = client.add(readFileSync(torrentPath), { path: folder, skipVerify: role === 'seed', announce: [] });
torrent.on('error', fail);
torrent.on('ready', () => {
  if (role === 'seed') say({ event: 'listening', port: client.torrentPort });
  else for (const peer of peers) torrent.addPeer(peer);
});
if (role === 'leech') {
  torrent.on('done', () => {
    say({ event: 'done', seconds: (performance.now() - startedAtMs) / 1000 });
    process.exit(0);
  });
}
