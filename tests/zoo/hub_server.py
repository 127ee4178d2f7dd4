"""The part of the Hugging Face hub's API that huggingface_hub uses, on this machine."""

import base64
import contextlib
import hashlib
import http.server
import json
import threading
import urllib.parse

TOKEN = "hf_of_the_tests"


class Handler(http.server.BaseHTTPRequestHandler):
    """`server.repositories` is {"USER/REPO": [{path: bytes}, a dict for each commit]}."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self, content, status=200, **headers):
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Length": len(body), **headers}.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def refuse(self, status, code=None):
        self.answer({"error": "refused"}, status, **({"X_Error_Code": code} if code else {}))

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.refuse(401)
        if self.path == "/api/repos/create":
            asked = json.loads(body)
            name = "/".join(filter(None, (asked.get("organization"), asked["name"])))
            self.server.repositories.setdefault(name, [{}])
            return self.answer({"url": f"{self.server.address}/{name}"})
        if self.path == "/api/validate-yaml":
            return self.answer({"errors": [], "warnings": []})
        _, _, _, user, repository, action, _ = self.path.split("?")[0].split("/")
        commits = self.server.repositories[f"{user}/{repository}"]
        if action == "preupload":
            files = [
                {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False, "oid": None}
                for file in json.loads(body)["files"]
            ]
            return self.answer({"files": files})
        assert action == "commit"
        files = {}
        for line in map(json.loads, body.splitlines()):
            if line["key"] == "file":
                value = line["value"]
                files[value["path"]] = base64.b64decode(value["content"])
        commits.append({**commits[-1], **files})
        oid = revision(len(commits) - 1)
        url = f"{self.server.address}/{user}/{repository}/commit/{oid}"
        self.answer({"success": True, "commitOid": oid, "commitUrl": url, "hookOutput": ""})

    def do_GET(self):
        parts = urllib.parse.urlsplit(self.path).path.strip("/").split("/")
        if len(parts) < 4:
            return self.refuse(404)
        if parts[0] == "api":
            parts = parts[2:] if len(parts) > 4 else [*parts[2:], "revision", "main"]
        user, repository, action, asked, *path = parts
        name = f"{user}/{repository}"
        commits = self.server.repositories.get(name)
        if commits is None:
            return self.refuse(404, "RepoNotFound")
        revisions = {revision(i): i for i in range(len(commits))} | {"main": len(commits) - 1}
        if asked not in revisions:
            return self.refuse(404, "RevisionNotFound")
        files, sha = commits[revisions[asked]], revision(revisions[asked])
        if action == "revision":
            listed = [{"rfilename": file} for file in files]
            return self.answer({"id": name, "sha": sha, "siblings": listed})
        if action == "tree":
            return self.answer(
                [
                    {"type": "file", "path": file, "size": len(body), "oid": digest(body)}
                    for file, body in files.items()
                ]
            )
        assert action == "resolve"
        body = files.get("/".join(path))
        if body is None:
            return self.refuse(404, "EntryNotFound")
        self.answer(body, ETag=f'"{digest(body)}"', X_Repo_Commit=sha)

    do_HEAD = do_GET


def revision(number):
    """The name of a commit."""
    return f"{number:040x}"


def digest(body):
    """What the hub calls a content by."""
    return hashlib.sha1(body).hexdigest()


@contextlib.contextmanager
def hub():
    """A server, with its `address` and `repositories`."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.repositories, server.address = {}, f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
