/** `dragonlock export`, `import`, `account delete` and `locks watch`, against a server of its own process. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { serverForFile, type ServerUnderTest } from '../support/server-under-test.ts';
import { CommandUnderTest, prints, runCommand } from './command-under-test.ts';

const server = serverForFile();

function temporary(t: TestContext): (name: string) => string {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'dragonlock-account-'));
  t.after(() => fs.rmSync(directory, { recursive: true }));
  return (name) => path.join(directory, name);
}

async function fill(server: ServerUnderTest, count: number): Promise<void> {
  for (let from = 0; from < count; from += 500) {
    const KVSet = Array.from({ length: 500 }, (_, i) => ({ Key: `k/${from + i}`, Value: { n: from + i, text: 'ü' } }));
    await server.batch({ KVSet });
  }
  const Enqueue = [1, 2, 3].map((Data) => ({ Queue: 'q', Data, Group: 'g' }));
  await server.batch({ Atomic: { Key: 'c', Add: 7 }, Enqueue });
}

/** The lines of an export, without what a copy has of its own. */
function things(text: string): string[] {
  return text
    .split('\n')
    .filter((line) => line.includes('"Kind"') && !line.startsWith('{"Kind":"id","Key":"import/'))
    .map((line) => line.replaceAll(/,"Version":\d+|,"ID":"[^"]+"/g, ''))
    .toSorted();
}

test('export, account delete and import: the account is there again, in another file and account too', async (t) => {
  const at = server.place();
  const file = temporary(t);
  await fill(server, 2500);
  await prints(t, ['export', '--file', file('one')], at);
  await prints(t, ['export', '--file', file('one')], at, 64);
  const stdout = await prints(t, ['export'], at);
  assert.equal(stdout, fs.readFileSync(file('one'), 'utf8'));
  assert.match(stdout, /^\{"Export":1,"Account":"[^"]+"\}\n/);
  assert.match(stdout, /\{"End":true,"Rev":\d+\}\n$/);

  await prints(t, ['import', '-'], { ...at, account: 'other', input: stdout });
  await prints(t, ['account', 'delete', 'other', '--no-wait'], { ...at, account: 'ignored' });
  const { stderr } = await runCommand(t, ['import', file('one')], { ...at, account: 'third' });
  assert.match(stderr, /Imported 2504 lines; the time of 0 more was over/);
  const again = await prints(t, ['export'], { ...at, account: 'third' });
  assert.deepEqual(things(again), things(stdout));
});

test('export and import go on after an interruption, and put nothing twice', async (t) => {
  const at = server.place();
  const file = temporary(t);
  await fill(server, 2500);
  await prints(t, ['export', '--file', file('whole')], at);
  // As if the export had been killed in the middle of its second page.
  const whole = fs.readFileSync(file('whole'), 'utf8');
  const cut = whole.slice(0, whole.indexOf('{"After"') + 5000);
  fs.writeFileSync(file('cut'), cut);
  const refused = await runCommand(t, ['import', file('cut')], { ...at, account: 'second' });
  assert.deepEqual([refused.code, refused.stderr.includes('the export was interrupted')], [64, true]);
  await prints(t, ['export', '--file', file('cut'), '--resume'], at);
  assert.equal(
    fs.readFileSync(file('cut'), 'utf8').replaceAll(/.*"(After|Changes)".*\n/g, ''),
    whole.replaceAll(/.*"(After|Changes)".*\n/g, ''),
  );
  await prints(t, ['export', '--file', file('cut'), '--resume'], at, 64);

  // A line that is refused stops the import; the lines before it are there, and are not put again.
  const lines = whole.split('\n');
  const bad = lines.toSpliced(1500, 0, '{"Kind":"kv","Key":""}');
  fs.writeFileSync(file('bad'), bad.join('\n'));
  const stopped = await runCommand(t, ['import', file('bad')], { ...at, account: 'second' });
  assert.equal(stopped.code, 64);
  const [, place] = /--resume (\S+)/.exec(stopped.stderr) ?? [];
  assert.ok(place !== undefined, stopped.stderr);
  await prints(t, ['import', file('whole'), '--resume', place], { ...at, account: 'second' });
  const usage = JSON.parse(await prints(t, ['usage', '--json'], { ...at, account: 'second' })) as {
    Entries: Record<string, number>;
  };
  assert.partialDeepStrictEqual(usage.Entries, { kv: 2500, counters: 1, messages: 3 });
});

test('a deletion goes on when the server is killed in the middle of it, and another account is as it was', async (t) => {
  const at = server.place();
  const listen = `127.0.0.1:${server.port}`;
  await fill(server, 20_000);
  await prints(t, ['kv', 'put', 'mine', '1'], { ...at, account: 'mine' });
  const [account] = /(?<="Account":")[^"]+/.exec(await prints(t, ['export'], at))!;
  await prints(t, ['account', 'delete', account, '--no-wait'], at);
  await server.restart('kill', { listen });
  const { code, stderr } = await runCommand(t, ['kv', 'get', 'k/19999'], { ...at, account });
  assert.match(stderr, /is being deleted|There is no key/);
  assert.ok(code !== 0);
  // Waits until all is gone.
  await runCommand(t, ['account', 'delete', account], at);
  const usage = await prints(t, ['usage', '--json'], { ...at, account });
  assert.partialDeepStrictEqual(JSON.parse(usage), { Bytes: 0, Entries: { kv: 0, messages: 0, counters: 0 } });
  assert.equal(await prints(t, ['kv', 'get', 'mine'], { ...at, account: 'mine' }), '1');
  await prints(t, ['kv', 'put', 'again', '1'], { ...at, account });
});

test('locks watch: prints who holds the lock, and each grant and end, across a restart', async (t) => {
  const at = server.place();
  const listen = `127.0.0.1:${server.port}`;
  const watch = new CommandUnderTest(t, ['locks', 'watch', 'job'], at);
  await watch.printed(/^free job\n$/);
  const { Lock } = await server.batch({ LockID: 'job', LockDur: 60, LockMeta: { host: 'a' } });
  await watch.printed(/held job .*a/);
  await server.restart('kill', { listen });
  await server.batch({ UnlockID: 'job', Unlock: Lock });
  await watch.printed(/^free job\nheld job .*\nfree job\n$/);
  const once = JSON.parse(await prints(t, ['locks', 'watch', 'job', '--once', '--json'], at)) as object;
  assert.partialDeepStrictEqual(once, { LockID: 'job', Locked: false });
});
