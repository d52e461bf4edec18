#!/usr/bin/env python3
"""moto for tests: some wrong answers mended, and AWS-shaped errors for calls it lacks.

serve.py ADDRESS PORT. Beside AWS it answers, for tests:

  POST   /x/fault {"match": "iam:ListUsers", "status": 400, "code": "Throttling", "count": 3, "delay_ms": 0}
                  match is "<service>:<action>" or "<service>:<METHOD> <path prefix>"; count -1 is always
  DELETE /x/fault
  POST   /x/clock {"days": -120}    what is created from now on is that old
  POST   /x/root  {"account": "123456789012", "mfa": true, "keys": 0}
  GET    /x/calls                   how often each action was called
"""

import base64
import datetime
import hashlib
import io
import json
import os
import re
import sys
import threading
import time
import traceback
from urllib.parse import parse_qs, quote

import moto.core.utils

clock = {"seconds": 0.0}


def utcnow():
    real = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
    return real + datetime.timedelta(seconds=clock["seconds"])


# Service modules copy the function when they are imported: replace it before they are.
moto.core.utils.utcnow = utcnow

import moto.ec2.models.elastic_block_store as volumes  # noqa: E402
import moto.ec2.responses.elastic_block_store as snapshots  # noqa: E402
import moto.iam.models as iam  # noqa: E402
import moto.iam.responses as answers  # noqa: E402
import moto.rds.models as databases  # noqa: E402
from moto.core.responses import ActionResult  # noqa: E402
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app  # noqa: E402

roots = {}  # account -> {"mfa": bool, "keys": int}


def mend_volumes():
    """Encryption by default encrypts; describing one's own snapshots leaves out those of others."""
    create = volumes.EBSBackend.create_volume

    def create_volume(self, size, zone_name, snapshot_id=None, encrypted=False, *args, **kwargs):
        encrypted = encrypted or getattr(self, "ebs_encryption_by_default", False)
        return create(self, size, zone_name, snapshot_id, encrypted, *args, **kwargs)

    def describe_snapshots(self):
        found = self.ec2_backend.describe_snapshots(
            snapshot_ids=self._get_param("SnapshotIds", []), filters=self._filters_from_querystring()
        )
        owners = {self.current_account if o == "self" else o for o in self._get_param("OwnerIds", []) or []}
        return ActionResult({"Snapshots": [s for s in found if not owners or s.owner_id in owners]})

    volumes.EBSBackend.create_volume = create_volume
    snapshots.ElasticBlockStore.describe_snapshots = describe_snapshots


def mend_identity():
    """The credential report is of now, and begins with the root user, who can have MFA and keys."""
    report, summary = iam.IAMBackend.get_credential_report, iam.AccountSummary.summary_map.fget

    def root_row(account):
        root = roots.get(account, {})
        mfa, key = str(bool(root.get("mfa"))).lower(), str(bool(root.get("keys"))).lower()
        now = utcnow().strftime("%Y-%m-%dT%H:%M:%S+00:00")
        first = f"<root_account>,arn:aws:iam::{account}:root,{now},not_supported,no_information,not_supported,not_supported,{mfa}"
        return f"{first},{key},N/A,N/A,N/A,N/A,false,N/A,N/A,N/A,N/A,false,N/A,false,N/A\n"

    def get_credential_report(self):
        head, _, rows = report(self).partition("\n")
        return head + "\n" + root_row(self.account_id) + rows

    def answer(self):
        made = utcnow().strftime("%Y-%m-%dT%H:%M:%SZ")
        content = self.backend.get_credential_report()
        return ActionResult({"Content": content, "ReportFormat": "text/csv", "GeneratedTime": made})

    def summary_map(self):
        root = roots.get(self._iam_backend.account_id, {})
        return summary(self) | {
            "AccountMFAEnabled": int(bool(root.get("mfa"))),
            "AccountAccessKeysPresent": int(root.get("keys", 0)),
        }

    iam.IAMBackend.get_credential_report = get_credential_report
    answers.IamResponse.get_credential_report = answer
    iam.AccountSummary.summary_map = property(summary_map)


def mend_databases():
    """Each database has a resource id of its own, by which Terraform looks for it, and nothing moves with the clock."""
    begin = databases.DBInstance.__init__

    def made(self, *args, **kwargs):
        begin(self, *args, **kwargs)
        own = base64.b32encode(hashlib.sha256(self.db_instance_arn.encode()).digest()).decode()
        self.dbi_resource_id = "db-" + own[:26]

    databases.DBInstance.__init__ = made
    databases.DBInstance.latest_restorable_time = property(lambda self: self.created)


JSON_SERVICES = {
    "access-analyzer", "account", "apigateway", "backup", "batch", "detective", "eks", "elasticfilesystem", "es",
    "guardduty", "inspector2", "kafka", "lambda", "macie2", "resource-explorer-2", "securityhub",
}  # fmt: skip


class Server:
    """The WSGI application: control calls, injected faults, then moto, one request at a time."""

    def __init__(self):
        self.moto = DomainDispatcherApplication(create_backend_app)
        self.faults, self.calls = [], {}
        self.counting, self.running = threading.Lock(), threading.RLock()

    def __call__(self, env, start):
        path = env.get("PATH_INFO", "/")
        query = "?" + env["QUERY_STRING"] if env.get("QUERY_STRING") else ""
        env.setdefault("RAW_URI", env.get("REQUEST_URI") or quote(path, safe="/~:@!$&'()*+,;=%-._") + query)
        length = int(env.get("CONTENT_LENGTH") or 0)
        body = env["wsgi.input"].read(length) if length else b""
        env["wsgi.input"] = io.BytesIO(body)
        if path.startswith("/x/"):
            return self.control(env, start, path, body)
        call = Call(env, path + query, body)
        fault = self.count(call)
        if fault:
            time.sleep(fault.get("delay_ms", 0) / 1000)
            if fault.get("status"):
                return call.refuse(start, fault["status"], fault.get("code", "Throttling"), "injected")
        return self.forward(env, start, call)

    def count(self, call):
        with self.counting:
            self.calls[call.short] = self.calls.get(call.short, 0) + 1
            fault = next((f for f in self.faults if f["count"] != 0 and call.name.startswith(f["match"])), None)
            if fault:
                fault["count"] -= 1
            return fault

    def forward(self, env, start, call):
        answer = {}

        def begin(status, headers, exc_info=None):
            answer.update(status=status, headers=headers)

        try:
            with self.running:  # moto's backends are not safe for threads
                data = b"".join(self.moto(env, begin))
        except NotImplementedError:
            return call.refuse(start, 400, call.unknown(), "not implemented")
        except Exception as e:
            traceback.print_exc()
            return call.refuse(start, 500, "InternalFailure", f"{type(e).__name__}: {e}")
        if answer["status"][:3] in ("404", "500") and data[:15].lower() == b"<!doctype html>":
            return call.refuse(start, 400, call.unknown(), "not implemented")
        drop = {"connection"} if env["REQUEST_METHOD"] == "HEAD" else {"connection", "content-length"}
        headers = [(k, v) for k, v in answer["headers"] if k.lower() not in drop]
        if env["REQUEST_METHOD"] != "HEAD":
            headers.append(("Content-Length", str(len(data))))
        start(answer["status"], headers)
        return [data]

    def control(self, env, start, path, body):
        asked = json.loads(body) if body else {}
        if path == "/x/fault" and env["REQUEST_METHOD"] == "DELETE":
            self.faults.clear()
        elif path == "/x/fault":
            self.faults.append({"count": -1} | asked)
        elif path == "/x/clock":
            clock["seconds"] = 86400 * float(asked["days"])
        elif path == "/x/root":
            roots[asked["account"]] = asked
        answer = {"/x/fault": self.faults, "/x/clock": utcnow().isoformat(), "/x/root": roots, "/x/calls": self.calls}
        data = json.dumps(answer.get(path)).encode()
        start("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(data)))])
        return [data]


class Call:
    """Which action of which service a request is, and how that service says no."""

    def __init__(self, env, path, body):
        signed = re.search(r"Credential=[^/]+/\d+/[^/]+/([^/]+)/", env.get("HTTP_AUTHORIZATION", ""))
        self.service = signed.group(1) if signed else "?"
        target = env.get("HTTP_X_AMZ_TARGET")
        self.json = bool(target) or self.service in JSON_SERVICES
        action = target.split(".")[-1] if target else None
        if not action and (body.startswith(b"Action=") or b"&Action=" in body):
            action = parse_qs(body.decode("latin1")).get("Action", [None])[0]
        action = action or env["REQUEST_METHOD"] + " " + path
        self.name, self.short = f"{self.service}:{action}", f"{self.service}:{action.split(' ')[0]}"

    def unknown(self):
        return "UnknownOperationException" if self.json else "InvalidAction"

    def refuse(self, start, status, code, why):
        message = f"moto: {self.name}: {why}"
        if self.json:
            data, kind = json.dumps({"__type": code, "message": message}), "application/x-amz-json-1.1"
        else:
            error = f"<Error><Code>{code}</Code><Message>{message.replace('&', '&amp;')}</Message></Error>"
            wrap = {"s3": "%s", "ec2": "<Response><Errors>%s</Errors><RequestID>x</RequestID></Response>"}
            data = wrap.get(self.service, "<ErrorResponse>%s<RequestId>x</RequestId></ErrorResponse>").replace("%s", error)
            kind = "application/xml" if self.service == "s3" else "text/xml"
        data = data.encode()
        start(f"{status} X", [("Content-Type", kind), ("x-amzn-ErrorType", code), ("Content-Length", str(len(data)))])
        return [data]


if __name__ == "__main__":
    from waitress import serve

    mend_volumes()
    mend_identity()
    mend_databases()
    os.environ.setdefault("MOTO_PORT", sys.argv[2])
    serve(Server(), host=sys.argv[1], port=int(sys.argv[2]), threads=8, ident="moto", _quiet=True)
