"""Bodies that are large, too large, or torn on their way, sent to a running server."""

import http.client
import json
import socket
from pathlib import Path
from typing import Any

from tests.api import SUBMIT, rows_of, submission
from tests.live_server import LiveServer, live_server


def peak_mb(server: LiveServer) -> float:
    """The largest resident memory that a worker ever had."""
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    text = [Path(f"/proc/{child}/status").read_text() for child in children]
    return max(int(one.split("VmHWM:")[1].split()[0]) for one in text) / 1024


def upload(server: LiveServer, token: str, request: dict[str, Any], content: bytes) -> dict[str, Any]:
    """Upload a file with its request; gives the answer's data."""
    head = f'--b\r\nContent-Disposition: form-data; name="request"\r\n\r\n{json.dumps(request)}\r\n'
    head += '--b\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n'
    body = head.encode() + content + b"\r\n--b--\r\n"
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    status, answer = server.call("POST", SUBMIT, body, token, headers, timeout_s=110)
    assert status == 200, answer
    data: dict[str, Any] = answer["data"]
    return data


def chunked(server: LiveServer, token: str, n_bytes: int) -> tuple[int, Any]:
    """A JSON body without a length, in pieces of 64 kB."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    pieces = (b" " * 65536 for _ in range(n_bytes // 65536 + 1))
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    connection.request("POST", SUBMIT, body=pieces, headers=headers, encode_chunked=True)
    answer = connection.getresponse()
    found = answer.status, json.load(answer)
    connection.close()
    return found


def torn(server: LiveServer, token: str, body: str) -> bytes:
    """The head of the answer to a request whose chunks are as given."""
    head = f"POST {SUBMIT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n{body}".encode())
        return connection.recv(65536)


def test_a_million_rows_and_bodies_over_the_limit(tmp_path: Path, postgres_database: str | None) -> None:
    """A file of a million rows is audited to the last row within 250 MB more than a file of ten; more than 10 MiB of JSON is 413."""
    n_rows = 1_000_000
    request = submission(
        rows=...,
        columns={
            "decision": "decision",
            "truth": "truth",
            "score": "score",
            "id": "id",
            "protected": ["race"],
        },
    )
    header = b"id,race,decision,truth,score,note\n"
    thousand = b"".join(
        b"%%d-%d,g%d,%d,%d,0.%d,some words that nobody reads\n" % (i, i % 4, i % 2, i % 3 == 0, i % 10)
        for i in range(1000)
    )
    with live_server(tmp_path, workers=1, DATABASE_URL=postgres_database or "") as server:
        token = server.login()
        upload(
            server,
            token,
            request,
            header + thousand.replace(b"%d", b"0")[:20_000].rsplit(b"\n", 1)[0] + b"\n",
        )
        before = peak_mb(server)
        content = header + b"".join(thousand.replace(b"%d", b"%d" % (k + 1)) for k in range(n_rows // 1000))
        data = upload(server, token, request, content)
        assert data["sample_size"] == data["rows_read"] == n_rows
        sizes = {
            piece["attributes"]["race"]: piece["size"]
            for piece in data["demographic_slices"]
            if len(piece["attributes"]) == 1
        }
        assert sizes == {f"g{place}": n_rows // 4 for place in range(4)}
        grown = peak_mb(server) - before
        assert grown < 250, f"{grown:.0f} MB more for {len(content) / 1e6:.0f} MB of rows"
        body = json.dumps(submission(rows_of({"a" * 50: (1, 2)}) * 150_000)).encode()
        assert len(body) > 10 * 2**20
        for status, answer in (
            server.call("POST", SUBMIT, body, token, {"Content-Type": "application/json"}),
            chunked(server, token, 10 * 2**20 + 1),
        ):
            assert (status, answer["error"]["details"]["setting"]) == (413, "MAX_JSON_BYTES")
        assert server.call("POST", SUBMIT, body, None, {"Content-Type": "application/json"})[0] == 401
        for sent, status in ((token, b"400"), ("", b"401")):
            assert torn(server, sent, "no-number\r\n{}\r\n0\r\n\r\n").split()[1] == status
        assert server.call("GET", "/api/health?ready=1")[0] == 200
