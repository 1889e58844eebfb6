"""A gRPC client of the tracker that knows nothing of Shoal but its .proto and docs/protocol.md.

Arguments: the folder of the generated code, host:port, and for TLS the certificate to trust. Prints what it saw as one JSON document.
"""
import hashlib
import json
import os
import struct
import sys
import threading

sys.path.insert(0, sys.argv[1])
import grpc  # noqa: E402
from shoal.v1 import tracker_pb2 as pb, tracker_pb2_grpc as rpc  # noqa: E402

address = sys.argv[2]
if len(sys.argv) > 3:
    with open(sys.argv[3], "rb") as trusted:
        channel = grpc.secure_channel(address, grpc.ssl_channel_credentials(trusted.read()))
else:
    channel = grpc.insecure_channel(address)
tracker = rpc.TrackerServiceStub(channel)
TIMEOUT = 20

CHUNK = 65536
content = bytes(range(256)) * 700
chunks = [content[at : at + CHUNK] for at in range(0, len(content), CHUNK)]
manifest = (
    b"SHLM\x01\0\0\0"
    + struct.pack(">QII", len(content), CHUNK, len(chunks))
    + hashlib.sha256(content).digest()
    + b"".join(hashlib.sha256(chunk).digest() for chunk in chunks)
)
content_id = hashlib.sha256(manifest).digest()

watching = tracker.Watch(pb.WatchRequest(), timeout=TIMEOUT)
events = []
watched = threading.Event()
published = threading.Event()


def watch():
    try:
        for event in watching:
            events.append({"type": event.type, "data": json.loads(event.data)})
            watched.set()
            if event.type == "entry-published":
                published.set()
                return
    except grpc.RpcError as error:
        events.append({"type": "failed", "data": str(error)})


watcher = threading.Thread(target=watch)
watcher.start()
watched.wait(TIMEOUT)  # the first message says that the stream is open: nothing that follows is missed

me = os.urandom(16)
registered = tracker.Register(
    pb.RegisterRequest(
        peer_id=me,
        addresses=[pb.Address(host="", port=4711)],
        dialects=[pb.DIALECT_NATIVE],
        agent="grpc-python/" + grpc.__version__,
    ),
    timeout=TIMEOUT,
)
results = tracker.Publish(
    pb.PublishRequest(
        peer_id=me, items=[pb.PublishItem(name="from-python.bin", manifest=manifest, content_id=content_id)]
    ),
    timeout=TIMEOUT,
).results
listed = tracker.ListFiles(pb.ListFilesRequest(query="PYTHON"), timeout=TIMEOUT)
located = tracker.Locate(pb.LocateRequest(name="from-python.bin", want_manifest=True), timeout=TIMEOUT)
def peers(**query):
    return [p.agent for p in tracker.ListPeers(pb.ListPeersRequest(**query), timeout=TIMEOUT).peers]


chosen = {
    "online": peers(state=pb.PEER_STATE_ONLINE, query="GRPC-PYTHON", name="from-python.bin"),
    "offline": peers(state=pb.PEER_STATE_OFFLINE),
    "volunteers": peers(volunteers=True),
}
leaving = tracker.Watch(pb.WatchRequest(types=["peer-left"]), timeout=TIMEOUT)
left_types = [next(leaving).type]
renewed = tracker.Renew(pb.RenewRequest(peer_id=me), timeout=TIMEOUT)
try:
    tracker.Locate(pb.LocateRequest(name="nothing"), timeout=TIMEOUT)
    refused = None
except grpc.RpcError as error:
    refused = {
        "code": error.code().name,
        "details": error.details(),
        "shoal": dict(error.trailing_metadata()).get("shoal-code"),
    }
published.wait(TIMEOUT)
watching.cancel()
watcher.join(TIMEOUT)
tracker.Leave(pb.LeaveRequest(peer_id=me), timeout=TIMEOUT)
left_types.append(next(leaving).type)
leaving.cancel()
print(
    json.dumps(
        {
            "observedHost": registered.observed_host,
            "contentId": content_id.hex(),
            "published": [{"name": r.entry.name, "problem": r.problem} for r in results],
            "listed": [{"name": e.name, "size": e.size, "content": e.content_id.hex()} for e in listed.entries],
            "manifestIsOurs": located.manifest == manifest,
            "sources": [[f"{a.host}:{a.port}" for a in s.addresses] for s in located.sources],
            "complete": [s.holding.complete for s in located.sources],
            "renewed": renewed.known,
            "refused": refused,
            "chosen": chosen,
            "leftTypes": left_types,
            "events": events,
        }
    )
)
