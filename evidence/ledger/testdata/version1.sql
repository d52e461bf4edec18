CREATE TABLE migrations (version INTEGER PRIMARY KEY) STRICT;
CREATE TABLE attempts (
    id      TEXT PRIMARY KEY,
    started TEXT NOT NULL,
    ended   TEXT,
    status  TEXT NOT NULL,
    pid     INTEGER NOT NULL,
    run     TEXT REFERENCES runs (id)
  ) STRICT;
CREATE TABLE runs (
    seq       INTEGER PRIMARY KEY,
    id        TEXT NOT NULL UNIQUE,
    status    TEXT NOT NULL,
    trigger   TEXT NOT NULL,
    whole     INTEGER NOT NULL,
    simulated INTEGER NOT NULL,
    as_of     TEXT NOT NULL,
    started   TEXT NOT NULL,
    ended     TEXT NOT NULL,
    doc       TEXT NOT NULL
  ) STRICT;
CREATE TABLE decisions (
    run            TEXT NOT NULL REFERENCES runs (id) DEFERRABLE INITIALLY DEFERRED,
    id             TEXT NOT NULL,
    control        TEXT NOT NULL,
    control_digest TEXT NOT NULL,
    resource       TEXT NOT NULL,
    name           TEXT NOT NULL,
    type           TEXT NOT NULL,
    origin         TEXT NOT NULL,
    owner          TEXT NOT NULL,
    outcome        TEXT NOT NULL,
    excepted       INTEGER NOT NULL,
    exception      TEXT NOT NULL,
    input_digest   TEXT NOT NULL,
    slice_digest   TEXT NOT NULL,
    violations     TEXT,
    reasons        TEXT,
    PRIMARY KEY (run, control, resource)
  ) STRICT, WITHOUT ROWID;
CREATE TABLE deliveries (
    seq    INTEGER PRIMARY KEY,
    run    TEXT NOT NULL REFERENCES runs (id),
    sink   TEXT NOT NULL,
    status TEXT NOT NULL,
    at     TEXT NOT NULL,
    detail TEXT NOT NULL
  ) STRICT;
CREATE TABLE packs (
    run  TEXT PRIMARY KEY REFERENCES runs (id),
    pack TEXT NOT NULL,
    path TEXT NOT NULL
  ) STRICT;
CREATE INDEX decisions_by_id ON decisions (id);
CREATE INDEX deliveries_by_run ON deliveries (run);
INSERT INTO migrations VALUES (1);
INSERT INTO runs VALUES (1, '7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed', 'complete', 'manual', 1, 0, '2026-11-21T02:00:00Z', '2026-11-21T02:00:00Z', '2026-11-21T02:01:00Z', '{"as_of":"2026-11-21T02:00:00Z","config_digest":"","counts":[],"ended":"2026-11-21T02:01:00Z","entity":"","exceptions":"","id":"7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed","library":"","notices":[],"provenance":{"binary_sha256":"","host":"","user":"","version":""},"revision":"b718f1354f7247312eca086d9a024afe5fa717ddea5adeddd6f12bcf945b2e8c","scope":{},"simulated":false,"snapshots":[],"started":"2026-11-21T02:00:00Z","status":"complete","system":"","trigger":"manual","verdicts":"2fa763cb6c166b7bc95d83b04c374bdfd4ae3981bf784410a2dc8bfd9fa1f084"}');
INSERT INTO runs VALUES (2, '3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3', 'complete', 'manual', 1, 0, '2026-11-22T02:00:00Z', '2026-11-22T02:00:00Z', '2026-11-22T02:01:00Z', '{"as_of":"2026-11-22T02:00:00Z","config_digest":"","counts":[],"ended":"2026-11-22T02:01:00Z","entity":"","exceptions":"","id":"3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3","library":"","notices":[],"previous":"7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed","provenance":{"binary_sha256":"","host":"","user":"","version":""},"revision":"b718f1354f7247312eca086d9a024afe5fa717ddea5adeddd6f12bcf945b2e8c","scope":{},"simulated":false,"snapshots":[],"started":"2026-11-22T02:00:00Z","status":"complete","system":"","trigger":"manual","verdicts":"f4a7ca9449b178547822c5632578d1e55e966c8415c5f706c1dbab0d8765b118"}');
INSERT INTO runs VALUES (3, 'daeb30e06dcf80565ac935eca8ec3e87a2cd7194440c14842b470d3cb7fed353', 'complete', 'manual', 1, 1, '2026-11-22T03:00:00Z', '2026-11-22T03:00:00Z', '2026-11-22T03:01:00Z', '{"as_of":"2026-11-22T03:00:00Z","config_digest":"","counts":[],"ended":"2026-11-22T03:01:00Z","entity":"","exceptions":"","id":"daeb30e06dcf80565ac935eca8ec3e87a2cd7194440c14842b470d3cb7fed353","library":"","notices":[],"previous":"3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3","provenance":{"binary_sha256":"","host":"","user":"","version":""},"revision":"b718f1354f7247312eca086d9a024afe5fa717ddea5adeddd6f12bcf945b2e8c","scope":{},"simulated":true,"snapshots":[],"started":"2026-11-22T03:00:00Z","status":"complete","system":"","trigger":"manual","verdicts":"3a4150a433fc00b0f7cc4cfca9d62d13d016e4de831879ba3f30339ff8940b23"}');
INSERT INTO runs VALUES (4, '8b5b9db0c13db24256c829aa364aa90c6d2eba318b9232a4ab9313b954d3555f', 'complete', 'manual', 1, 0, '2026-11-23T02:00:00Z', '2026-11-23T02:00:00Z', '2026-11-23T02:01:00Z', '{"as_of":"2026-11-23T02:00:00Z","config_digest":"","counts":[],"ended":"2026-11-23T02:01:00Z","entity":"","exceptions":"","id":"8b5b9db0c13db24256c829aa364aa90c6d2eba318b9232a4ab9313b954d3555f","library":"","notices":[],"previous":"3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3","provenance":{"binary_sha256":"","host":"","user":"","version":""},"revision":"b718f1354f7247312eca086d9a024afe5fa717ddea5adeddd6f12bcf945b2e8c","scope":{},"simulated":false,"snapshots":[],"started":"2026-11-23T02:00:00Z","status":"complete","system":"","trigger":"manual","verdicts":"e4c71c389c53ae31aaf24952551fb6c019f0d3968e368737242c4678c04c4293"}');
INSERT INTO attempts VALUES ('JLOD3APAQRQ67FARS6BN3MSSDG', '2026-11-21T02:00:00Z', '2026-11-21T02:01:00Z', 'complete', 23112, '7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed');
INSERT INTO attempts VALUES ('F5GOUKKUI3PAEL544UJZHYFYPQ', '2026-11-22T02:00:00Z', '2026-11-22T02:01:00Z', 'complete', 23112, '3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3');
INSERT INTO attempts VALUES ('KA6RYKGYPWNHZRYAN2BRANLHYR', '2026-11-22T03:00:00Z', '2026-11-22T03:01:00Z', 'complete', 23112, 'daeb30e06dcf80565ac935eca8ec3e87a2cd7194440c14842b470d3cb7fed353');
INSERT INTO attempts VALUES ('6WIPRLC2SF4UZL63Q6YB6O4K64', '2026-11-23T02:00:00Z', '2026-11-23T02:01:00Z', 'complete', 23112, '8b5b9db0c13db24256c829aa364aa90c6d2eba318b9232a4ab9313b954d3555f');
INSERT INTO decisions VALUES ('3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3', '2ef4d27e97a4270e3e6429091d857013a140d723f9082cdda7eebe6d735719ba', 'NET-001', 'b083f96c3f34384839d76e7d1e92f636d77117c7836ee97cdfa49a2196cd78dd', 'aws/1/x/T/a', 'n', 'T', 'aws/1/x', 'payments', 'fail', 0, '', 'ddc0c582f746e4323b462a8860bda90b57fdd3db8c57af0e5834b3a8cc6e7fca', '', '[{"expected":[],"message":"open","observed":{"port":22},"path":"/data/x"}]', NULL);
INSERT INTO decisions VALUES ('3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3', 'fc2d1de042518adb5fad4ec72ddd052f062c0bdbfeb80bc948d074d457e5aa08', 'STO-001', '3efa03508f348d0ef51c5d76a660b77b8dc922714b1cafa2a0142eb728f1ce13', 'aws/1/x/T/c', 'n', 'T', 'aws/1/x', 'payments', 'fail', 0, '', 'dc9fda767b27df4cdea0400a404ded526651f0b0df5a77d20e8e0e572489573c', '', '[{"expected":[],"message":"open","observed":{"port":22},"path":"/data/x"}]', NULL);
INSERT INTO decisions VALUES ('7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed', '2ef4d27e97a4270e3e6429091d857013a140d723f9082cdda7eebe6d735719ba', 'NET-001', 'b083f96c3f34384839d76e7d1e92f636d77117c7836ee97cdfa49a2196cd78dd', 'aws/1/x/T/a', 'n', 'T', 'aws/1/x', 'payments', 'not_evaluated', 0, '', 'ddc0c582f746e4323b462a8860bda90b57fdd3db8c57af0e5834b3a8cc6e7fca', '', NULL, '[{"code":"gap","detail":"AccessDenied s3:GetY","where":"/data/y"}]');
INSERT INTO decisions VALUES ('7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed', '3281c9d037a5d0d1bac475b68951c1da5df13d4904e9f5ddba52c3397a8951dc', 'NET-001', 'b083f96c3f34384839d76e7d1e92f636d77117c7836ee97cdfa49a2196cd78dd', 'aws/1/x/T/b', 'n', 'T', 'aws/1/x', 'payments', 'fail', 0, '', '6b4704448e654ee399b8d0055c48018ab1e88afd2e33e355c070909ba0f3c4cd', '', '[{"expected":[],"message":"open","observed":{"port":22},"path":"/data/x"}]', NULL);
INSERT INTO decisions VALUES ('8b5b9db0c13db24256c829aa364aa90c6d2eba318b9232a4ab9313b954d3555f', '2ef4d27e97a4270e3e6429091d857013a140d723f9082cdda7eebe6d735719ba', 'NET-001', 'b083f96c3f34384839d76e7d1e92f636d77117c7836ee97cdfa49a2196cd78dd', 'aws/1/x/T/a', 'n', 'T', 'aws/1/x', 'payments', 'fail', 1, 'EXC-1', 'ddc0c582f746e4323b462a8860bda90b57fdd3db8c57af0e5834b3a8cc6e7fca', '', '[{"expected":[],"message":"open","observed":{"port":22},"path":"/data/x"}]', NULL);
INSERT INTO decisions VALUES ('8b5b9db0c13db24256c829aa364aa90c6d2eba318b9232a4ab9313b954d3555f', '3281c9d037a5d0d1bac475b68951c1da5df13d4904e9f5ddba52c3397a8951dc', 'NET-001', 'b083f96c3f34384839d76e7d1e92f636d77117c7836ee97cdfa49a2196cd78dd', 'aws/1/x/T/b', 'n', 'T', 'aws/1/x', 'payments', 'fail', 0, '', '6b4704448e654ee399b8d0055c48018ab1e88afd2e33e355c070909ba0f3c4cd', '', '[{"expected":[],"message":"open","observed":{"port":22},"path":"/data/x"}]', NULL);
INSERT INTO decisions VALUES ('daeb30e06dcf80565ac935eca8ec3e87a2cd7194440c14842b470d3cb7fed353', '3281c9d037a5d0d1bac475b68951c1da5df13d4904e9f5ddba52c3397a8951dc', 'NET-001', 'b083f96c3f34384839d76e7d1e92f636d77117c7836ee97cdfa49a2196cd78dd', 'aws/1/x/T/b', 'n', 'T', 'aws/1/x', 'payments', 'fail', 0, '', '6b4704448e654ee399b8d0055c48018ab1e88afd2e33e355c070909ba0f3c4cd', '', '[{"expected":[],"message":"open","observed":{"port":22},"path":"/data/x"}]', NULL);
INSERT INTO deliveries VALUES (1, '8b5b9db0c13db24256c829aa364aa90c6d2eba318b9232a4ab9313b954d3555f', 'files', 'delivered', '2026-11-21T02:00:00Z', '');
