/**
 * The admin page in a browser: Debian's chromium by playwright-core. Skipped where there is none. One server has a tenant
 * with ugly names and values; each page is opened on a wide screen in light colours and on a phone in dark ones.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { chromium, type Browser, type BrowserContextOptions, type Page } from 'playwright-core';
import { eventually, serverForFile } from '../support/server-under-test.ts';

const executablePath = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((file) =>
  fs.existsSync(file),
);
const config = `
http: {threads: 2}
tokens:
  - {token: t-ops, name: ops, accounts: '*', scopes: [read, write, force, admin, operator]}
  - {token: t-reader, name: reader, accounts: [ugly], scopes: [read]}
`;
const headers = { authorization: 'Bearer t-ops' };
const wide = { viewport: { width: 1280, height: 800 }, colorScheme: 'light' } as const;
const phone = { viewport: { width: 390, height: 844 }, colorScheme: 'dark', isMobile: true, hasTouch: true } as const;
const script = '<script>document.title = "broken"</script>';
const image = '<img src=x onerror="document.title = \'broken\'">';
const names = [script, image, 'שלום/مرحبا', 'a\u202egnp.exe', 'x'.repeat(512), 'line\nbreak\ttab'];
const pages = [
  'overview',
  'accounts',
  'keys?account=ugly',
  'locks',
  'queues?account=ugly',
  'watches',
  'traffic',
  'backups',
  'audit?account=ugly',
  'server',
];

/** By the names in the address. */
const titles: Readonly<Record<string, string>> = {
  overview: 'Overview',
  accounts: 'Accounts',
  keys: 'Keys',
  locks: 'Locks',
  queues: 'Queues',
  watches: 'Watches',
  traffic: 'Traffic',
  backups: 'Backups',
  audit: 'Audit log',
  server: 'Server',
};

const skip = executablePath === undefined && 'chromium is not installed (apt-get install chromium)';

async function show(page: Page, hash: string): Promise<void> {
  await page.evaluate(`location.hash = ${JSON.stringify(`#/${hash}`)}`);
  const title = titles[hash.split('?', 1)[0]!] ?? assert.fail(hash);
  await page.waitForSelector(`.content[aria-label="${title}"] .card`);
  await page.waitForSelector('.content [aria-busy=true]', { state: 'detached' });
}

describe('the admin page', { skip }, () => {
  const server = serverForFile({ config });
  let browser: Browser;

  before(async () => {
    browser = await chromium.launch({ executablePath: executablePath!, args: ['--no-sandbox'] });
    const options = { headers };
    const KVSet = names.map((Key) => ({ Key, Value: { [image]: script } }));
    await server.ok(
      'POST',
      '/db/ugly',
      { KVSet: [...KVSet, { Key: 'folder/big', Value: 'ab<i>c '.repeat(149_000) }] },
      options,
    );
    for (const [i, name] of names.entries()) {
      const lock = `/db/ugly/lock/${encodeURIComponent(name)}?owner=o&dur=600&meta=${encodeURIComponent(image)}`;
      await server.ok('POST', lock, undefined, options);
      await server.ok('POST', `/db/ugly/queue/${encodeURIComponent(name)}`, { [image]: i }, options);
    }
    await server.ok('POST', '/db/ugly/lock/f?owner=o', undefined, options);
    await server.ok('DELETE', `/db/ugly/lock/f?force=1&reason=${encodeURIComponent(image)}`, undefined, options);
  });
  after(() => browser?.close());

  /** Opens the page and logs in. What the browser complains about is collected. */
  async function open(view: BrowserContextOptions, token = 't-ops'): Promise<{ page: Page; complaints: string[] }> {
    const context = await browser.newContext(view);
    const page = await context.newPage();
    const complaints: string[] = [];
    page.on('console', (message) => complaints.push(`${message.type()}: ${message.text()}`));
    page.on('pageerror', (error) => complaints.push(error.message));
    page.on('dialog', (dialog) => {
      complaints.push(`dialog: ${dialog.message()}`);
      void dialog.dismiss();
    });
    page.on('request', (request) => {
      if (!request.url().startsWith(server.url)) complaints.push(`asks ${request.url()}`);
    });
    await page.goto(`${server.url}/ui/`);
    await page.fill('input[name=token]', token);
    await page.keyboard.press('Enter');
    await page.waitForSelector('.shell, [role=alert]');
    return { page, complaints };
  }

  for (const [name, view] of Object.entries({ wide, phone })) {
    test(`${name}: every page shows ugly data as text, complains of nothing, and fits`, async () => {
      const { page, complaints } = await open(view);
      for (const hash of pages) {
        await show(page, hash);
        const over = await page.evaluate<number>('document.documentElement.scrollWidth - innerWidth');
        assert.ok(over <= 0, `${hash} is ${over} pixels too wide`);
        assert.doesNotMatch(await page.title(), /broken/, hash);
      }
      assert.deepEqual(complaints, []);
      await page.context().close();
    });
  }

  test('a wrong token is refused, a token without a scope sees less, and no token is kept anywhere else', async () => {
    const { page: refused } = await open(wide, 'wrong');
    assert.match((await refused.textContent('[role=alert]')) ?? '', /does not know this token/);
    await refused.context().close();
    const { page } = await open(wide, 't-reader');
    const links = await page.$$eval('.side nav a', (items) => items.map((item) => item.textContent?.trim()));
    assert.deepEqual(links, ['Overview', 'Keys', 'Queues']);
    const kept = await page.evaluate<string>(
      'JSON.stringify([location.href, { ...localStorage }, { ...sessionStorage }, document.cookie])',
    );
    assert.doesNotMatch(kept, /t-reader/);
    await page.context().close();
  });

  test('a lock is forced with the keyboard alone; its holder is told why, and the log has it', async () => {
    await server.ok('POST', '/db/ugly/lock/stuck?owner=me&dur=600', undefined, { headers });
    const { page, complaints } = await open(wide);
    await show(page, 'locks?account=ugly&prefix=stuck');
    await page.waitForSelector('[data-open]');
    await page.keyboard.press('j');
    await page.keyboard.press('Enter');
    await page.waitForSelector('.button.danger');
    await page.focus('.button.danger');
    await page.keyboard.press('Enter');
    await page.waitForSelector('dialog[open]');
    await page.focus('dialog input[maxlength]');
    await page.keyboard.type('hangs <b>');
    await page.keyboard.press('Tab');
    await page.keyboard.type('stuck');
    await page.keyboard.press('Enter');
    await page.waitForSelector('dialog[open]', { state: 'detached' });
    const lost = await server.fails('lock_lost', 'DELETE', '/db/ugly/lock/stuck?owner=me', undefined, { headers });
    assert.equal((lost as unknown as Record<string, unknown>)['Reason'], 'hangs <b>');
    const log = await server.call('GET', '/admin/audit?account=ugly&action=lock.force&limit=1', undefined, { headers });
    assert.match(log.text, /"Subject":"stuck","Reason":"hangs <b>"/);
    assert.deepEqual(complaints, []);
    await page.context().close();
  });

  test('who edits against a newer version sees both, and nothing is lost', async () => {
    const key = '/db/ugly/kv/edited';
    await server.ok('POST', key, { by: 'first' }, { headers });
    const { page } = await open(wide);
    await show(page, 'keys?account=ugly&key=edited');
    await page.click('text="Edit"');
    await page.fill('dialog textarea', '{"by": "page"}');
    await server.ok('POST', key, { by: 'another' }, { headers });
    await page.click('dialog button[type=submit]');
    await page.waitForSelector('dialog .notice');
    assert.match((await page.textContent('dialog pre')) ?? '', /"another"/);
    assert.equal(await page.inputValue('dialog textarea'), '{"by": "page"}');
    assert.match((await server.call('GET', key, undefined, { headers })).text, /another/);
    await page.click('dialog button[type=submit]');
    await page.waitForSelector('dialog[open]', { state: 'detached' });
    assert.match((await server.call('GET', key, undefined, { headers })).text, /"by":"page"/);
    await page.context().close();
  });

  test('of a value of a megabyte 64 KiB are shown', async (t) => {
    const { page } = await open(wide);
    await show(page, 'overview');
    const note = 'long.push(...list.getEntries().map(({ duration }) => duration))';
    await page.evaluate(
      `window.long = []; new PerformanceObserver((list) => ${note}).observe({ type: 'longtask' }); 0`,
    );
    await show(page, 'keys?account=ugly&prefix=folder/&key=folder/big');
    await page.waitForSelector('pre.code');
    assert.equal((await page.textContent('pre.code'))?.length, 64 * 1024);
    const long = await page.evaluate<number[]>('long');
    t.diagnostic(`tasks over 50 ms: ${long.map(Math.round).join(', ') || 'none'}`);
    await page.context().close();
  });

  test('a server that goes and comes back is shown, without a reload', async () => {
    const { page } = await open(wide);
    await page.waitForSelector('.pill.good');
    await server.kill();
    await page.waitForSelector('.pill.bad');
    await server.start({ listen: new URL(server.url).host });
    await eventually('live again', async () => (await page.$('.top .pill.good')) !== null, 30_000);
    await page.context().close();
  });
});
