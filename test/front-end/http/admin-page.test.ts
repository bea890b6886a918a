/** The files of the admin page, as the server hands them out. test/server/admin-page.test.ts uses the page in a browser. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { pageFileNames } from '../../../src/front-end/http/admin/page-files.ts';
import { makeDoor } from './http-door-under-test.ts';

const directory = new URL('../../../src/ui/', import.meta.url).href;
const tokens = `tokens: [{token: t, name: ops, accounts: '*', scopes: [read]}]`;

test('each file is there without a token, compressed for those who take it, and is not sent twice', async (t) => {
  const door = makeDoor(t, tokens, undefined, directory);
  let wire = 0;
  for (const name of pageFileNames(directory)) {
    const url = `/ui/${name === 'index.html' ? '' : name}`;
    const plain = await door.send('GET', url);
    assert.equal(plain.statusCode, 200, url);
    const packed = await door.send('GET', url, undefined, { 'accept-encoding': 'gzip, br' });
    assert.equal(packed.headers['content-encoding'], 'gzip');
    assert.equal(gunzipSync(packed.rawPayload).toString(), plain.body);
    wire += packed.rawPayload.length;
    const again = await door.send('GET', url, undefined, { 'if-none-match': String(plain.headers.etag) });
    assert.deepEqual([again.statusCode, again.body], [304, '']);
    for (const reply of [plain, again]) {
      assert.equal(reply.headers['x-content-type-options'], 'nosniff');
      assert.equal(reply.headers['referrer-policy'], 'no-referrer');
      assert.match(String(reply.headers['content-security-policy']), /^default-src 'none'; /);
    }
  }
  assert.ok(wire < 100 * 1024, `${wire} bytes in all`);
});

test('the policy allows the one script within the page by its hash, and none from elsewhere', async (t) => {
  const door = makeDoor(t, tokens, undefined, directory);
  const { body, headers } = await door.send('GET', '/ui/');
  const policy = String(headers['content-security-policy']);
  const inline = [...body.matchAll(/<script(?![^>]*\bsrc=)[^>]*>([^]*?)<\/script>/g)].map(([, text = '']) => text);
  assert.equal(inline.length, 1);
  const hash = createHash('sha256').update(inline[0]!).digest('base64');
  assert.match(policy, new RegExp(`script-src 'self' 'sha256-${hash.replaceAll(/[+/]/g, '\\$&')}';`));
  assert.doesNotMatch(policy, /unsafe|https?:|\*/);
  assert.match(policy, /frame-ancestors 'none'.*require-trusted-types-for 'script'/);
  assert.doesNotMatch(body, /\bon\w+=|style=|https?:\/\//, 'no handler, no style, no other host');
});

test('the page says whether it needs a token, is one path up, and can be turned off', async (t) => {
  const open = makeDoor(t, '', undefined, directory);
  const headers = { host: 'localhost' };
  assert.match((await open.send('GET', '/ui/', undefined, headers)).body, /<html data-token="none"/);
  const moved = await open.send('GET', '/ui', undefined, headers);
  assert.deepEqual([moved.statusCode, moved.headers.location], [308, 'ui/']);
  assert.equal((await open.send('GET', '/ui/', undefined, { host: 'evil.example' })).statusCode, 403);
  assert.equal((await open.send('GET', '/ui/..%2fapp.js', undefined, headers)).statusCode, 404);
  assert.equal((await open.send('POST', '/ui/', undefined, headers)).statusCode, 405);
  const closed = makeDoor(t, `ui: false\n${tokens}`, undefined, directory);
  assert.equal((await closed.send('GET', '/ui/')).statusCode, 404);
  assert.match((await makeDoor(t, tokens, undefined, directory).send('GET', '/ui/')).body, /data-token="needed"/);
});

test('admin page: a file that has gone since the start is a 500 with a RequestID, and a line in the log', async (t) => {
  const copy = fs.mkdtempSync(path.join(os.tmpdir(), 'dragonlock-page-'));
  t.after(() => fs.rmSync(copy, { recursive: true, force: true }));
  fs.cpSync(fileURLToPath(directory), copy, { recursive: true });
  const door = makeDoor(t, tokens, undefined, pathToFileURL(`${copy}/`).href);
  await door.app.ready();
  fs.rmSync(copy, { recursive: true });
  const { statusCode, body } = await door.send('GET', '/ui/');
  assert.equal(statusCode, 500);
  const { Code, RequestID } = JSON.parse(body) as { Code: string; RequestID: string };
  assert.equal(Code, 'internal');
  assert.equal(door.logged.length, 1);
  assert.equal((door.logged[0] as { requestId: string }).requestId, RequestID);
});
