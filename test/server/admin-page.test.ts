/**
 * The admin page in a browser: Debian's chromium by playwright-core. Skipped where there is none. One server has a tenant
 * with ugly names and values; each page is opened on a wide screen in light colours and on a phone in dark ones.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { after, before, describe, test } from 'node:test';
import path from 'node:path';
import type { AxeResults } from 'axe-core';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { root } from '../docs/server-child.ts';
import { launchBrowser, noBrowser } from '../support/browser.ts';
import { eventually, serverForFile } from '../support/server-under-test.ts';

/** Pictures go there, if it is set: `DRAGONLOCK_SCREENSHOTS=/tmp/shots node --test test/server/admin-page.test.ts`. */
const screenshots = process.env['DRAGONLOCK_SCREENSHOTS'];
const axe = fs.readFileSync(path.join(root, 'node_modules/axe-core/axe.min.js'), 'utf8');
const config = `
http: {threads: 2}
log: {slow_ms: 1}
tokens:
  - {token: t-ops, name: ops, accounts: '*', scopes: [read, write, force, task, script, admin, operator]}
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
  'tasks?account=ugly',
  'scripts?account=ugly',
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
  tasks: 'Tasks',
  scripts: 'Scripts',
  watches: 'Watches',
  traffic: 'Traffic',
  backups: 'Backups',
  audit: 'Audit log',
  server: 'Server',
};

async function show(page: Page, hash: string): Promise<void> {
  await page.evaluate(`location.hash = ${JSON.stringify(`#/${hash}`)}`);
  const title = titles[hash.split('?', 1)[0]!] ?? assert.fail(hash);
  await page.waitForSelector(`.content[aria-label="${title}"] .card`);
  await page.waitForSelector('.content [aria-busy=true]', { state: 'detached' });
}

async function picture(page: Page, name: string): Promise<void> {
  if (screenshots === undefined) return;
  fs.mkdirSync(screenshots, { recursive: true });
  await page.screenshot({ path: path.join(screenshots, `${name}.png`) });
}

/** What axe-core calls serious or critical, as `rule: where`. */
async function unreadable(page: Page): Promise<string[]> {
  await page.evaluate(axe);
  const { violations } = (await page.evaluate('axe.run(document, { resultTypes: ["violations"] })')) as AxeResults;
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .flatMap(({ id, nodes }) => nodes.map(({ target }) => `${id}: ${target.join(' ')}`));
}

describe('the admin page', { skip: noBrowser }, () => {
  const server = serverForFile({ config });
  let browser: Browser;

  before(async () => {
    browser = await launchBrowser();
    const options = { headers };
    const KVSet = names.map((Key) => ({ Key, Value: { [image]: script } }));
    await server.ok(
      'POST',
      '/db/ugly',
      { KVSet: [...KVSet, { Key: 'folder/big', Value: 'ab<i>c '.repeat(149_000) }, { Key: 'folder/small', Value: 1 }] },
      options,
    );
    for (const [i, name] of names.entries()) {
      const lock = `/db/ugly/lock/${encodeURIComponent(name)}?owner=o&dur=600&meta=${encodeURIComponent(image)}`;
      await server.ok('POST', lock, undefined, options);
      await server.ok('POST', `/db/ugly/queue/${encodeURIComponent(name)}`, { [image]: i }, options);
      const target =
        i === 0
          ? { Script: image, Args: name }
          : i === 1
            ? { URL: 'https://example.com/<b>' }
            : { Queue: name, Data: name };
      const times = i === 2 ? { Cron: '*/20 * * * *', TZ: 'Europe/Rome' } : { Delay: 3000 };
      await server.ok('POST', `/db/ugly/task/${encodeURIComponent(name)}`, { ...target, ...times }, options);
      const source = `// ${image} \u202e\nexport default (tx, args) => tx.fail(args); // ${'y'.repeat(300)}`;
      const type = { headers: { ...headers, 'content-type': 'text/javascript' } };
      await server.ok('PUT', `/db/ugly/script/${encodeURIComponent(name)}`, source, type);
    }
    await server.ok(
      'PUT',
      `/db/ugly/script/${encodeURIComponent(image)}`,
      'export default (tx, args) => tx.fail(args)',
      {
        headers: { ...headers, 'content-type': 'text/javascript' },
      },
    );
    await server.ok(
      'POST',
      '/db/ugly/task/dead',
      { Script: image, Args: `${image} `.repeat(9), Retry: { Max: 0 } },
      options,
    );
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
        await picture(page, `${hash.split('?', 1)[0]}-${name}`);
        for (const each of await unreadable(page)) complaints.push(`${hash}: ${each}`);
      }
      assert.deepEqual(complaints, []);
      await page.context().close();
    });
  }

  for (const [name, view] of Object.entries({ wide, phone })) {
    test(`${name}: axe-core finds nothing serious in what opens`, async () => {
      const { page } = await open(view);
      const found: string[] = [];
      const look = async (what: string): Promise<void> => {
        for (const each of await unreadable(page)) found.push(`${what}: ${each}`);
      };
      await show(page, 'locks?account=ugly&lock=line%0Abreak%09tab');
      await page.click('.button.danger');
      await page.waitForSelector('dialog[open]');
      await look('a lock, and forcing it');
      await page.keyboard.press('Escape');
      await show(page, 'keys?account=ugly&key=line%0Abreak%09tab');
      await page.click('.button:has-text("Delete")');
      await page.waitForSelector('dialog[open]');
      await look('a key, and deleting it');
      await page.keyboard.press('Escape');
      await show(page, `tasks?account=ugly&state=dead&task=dead`);
      await page.waitForSelector('.card .error');
      await look('a dead task');
      await picture(page, `task-${name}`);
      await page.click('.button:has-text("Cancel…")');
      await page.waitForSelector('dialog[open]');
      await look('cancelling a task');
      await page.keyboard.press('Escape');
      await show(page, `scripts?account=ugly&script=${encodeURIComponent(image)}`);
      await page.waitForSelector('pre.code');
      assert.match((await page.textContent('select.mono')) ?? '', /current/);
      await look('a script');
      await picture(page, `script-${name}`);
      for (const noun of ['tasks', 'scripts']) {
        await show(page, `${noun}?account=nobody`);
        await page.waitForSelector('.empty');
        await look(`no ${noun}`);
        await picture(page, `${noun}-empty-${name}`);
      }
      const over = await page.evaluate<number>('document.documentElement.scrollWidth - innerWidth');
      assert.ok(over <= 0, `${over} pixels too wide`);
      await page.keyboard.press('?');
      await page.waitForSelector('dialog[open]');
      await look('the help');
      assert.deepEqual(found, []);
      await page.context().close();
    });

    test(`${name}: the page Traffic shows who asks most and what was slow`, async () => {
      // One request in 61 is looked at, and what takes longer than a millisecond is slow here.
      const many = Array.from({ length: 500 }, (_, i) => ({ Key: `many/${i}`, Value: 'v'.repeat(900) }));
      for (let i = 0; i < 200; i += 1) await server.ok('GET', '/db/ugly/kv/folder%2Fsmall', undefined, { headers });
      for (const KVSet of [many, many]) await server.ok('POST', '/db/ugly', { KVSet }, { headers });
      const { page, complaints } = await open(view);
      await show(page, 'traffic');
      const rowsOf = (caption: string): Promise<string[]> =>
        page.$$eval(`[aria-label="${caption}"] [data-row], table:has(caption:text-is("${caption}")) tbody tr`, (rows) =>
          rows.map((row) => row.textContent ?? ''),
        );
      await eventually('both lists have rows', async () => {
        return (await rowsOf('Busiest accounts')).length > 0 && (await rowsOf('Slow requests')).length > 0;
      });
      assert.match((await rowsOf('Busiest accounts')).join('\n'), /ugly/);
      assert.match((await rowsOf('Slow requests')).join('\n'), /batch.*ugly/);
      const over = await page.evaluate<number>('document.documentElement.scrollWidth - innerWidth');
      assert.ok(over <= 0, `${over} pixels too wide`);
      await picture(page, `traffic-filled-${name}`);
      assert.deepEqual(await unreadable(page), []);
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
    assert.deepEqual(links, ['Overview', 'Keys', 'Queues', 'Tasks', 'Scripts']);
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

  test('a dead task is run again with the keyboard alone, and a task is paused, resumed and cancelled', async () => {
    const options = { headers };
    const type = { headers: { ...headers, 'content-type': 'text/javascript' } };
    await server.ok('POST', '/db/work/task/once', { Script: 'later', Retry: { Max: 0 } }, options);
    const stateOf = async (id: string): Promise<string> => {
      const { text } = await server.call('GET', `/db/work/task/${id}`, undefined, options);
      return (JSON.parse(text) as { State?: string }).State ?? 'gone';
    };
    await eventually('it is dead', async () => (await stateOf('once')) === 'dead');
    await server.ok('PUT', '/db/work/script/later', 'export default (tx) => tx.set("k", 1)', type);
    const { page, complaints } = await open(wide);
    await show(page, 'tasks?account=work&state=dead');
    await page.waitForSelector('[data-open]');
    await page.keyboard.press('j');
    await page.keyboard.press('Enter');
    await page.waitForSelector('.button.primary:has-text("Run again")');
    await page.focus('.button.primary:has-text("Run again")');
    await page.keyboard.press('Enter');
    await eventually('it has run', async () => (await stateOf('once')) === 'done');
    await server.ok('POST', '/db/work/task/often', { Script: 'later', Every: 3600 }, options);
    await show(page, 'tasks?account=work&task=often');
    await page.click('.button:has-text("Pause")');
    await eventually('it is paused', async () => (await stateOf('often')) === 'paused');
    await page.click('.button:has-text("Resume")');
    await eventually('it goes on', async () => (await stateOf('often')) === 'scheduled');
    await page.click('.button:has-text("Cancel…")');
    await page.fill('dialog input', 'often');
    await page.click('dialog button[type=submit]');
    await eventually('it is gone', async () => (await stateOf('often')) === 'gone');
    assert.deepEqual(complaints, []);
    await page.context().close();
  });

  test('a reload and another log level are a click each, and say what came of it', async () => {
    const { page, complaints } = await open(wide);
    await show(page, 'server');
    await page.click('text="Reload configuration"');
    await page.waitForSelector('[role=status] :text("Nothing has changed.")');
    await page.selectOption('select:has(option:text-is("silent"))', { label: 'warn' });
    await page.click('text="Log so for 10 minutes"');
    await page.waitForSelector('[role=status] :text("The log level is warn now, and info again in 10 minutes.")');
    await picture(page, 'server-actions');
    assert.deepEqual(await unreadable(page), []);
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
