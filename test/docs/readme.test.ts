/** The first screen of README.md: what it is, the limit that matters, one command, and where to go on. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { links, prose, readDoc } from './markdown.ts';

const [first = ''] = readDoc('README.md').split('\n## ');

test('README.md fits on one screen before its details', () => {
  const lines = first.trimEnd().split('\n');
  assert.ok(lines.length <= 40, `${lines.length} lines`);
  for (const line of lines.filter((each) => !each.startsWith('|')))
    assert.ok(line.length <= 125, `as wide as a terminal: ${line}`);
  assert.match(first, /^\$ npm start/m, 'one command');
  assert.match(prose(first), /\*\*One machine\.\*\* If it is down, the service is down/, 'the honest limit');
});

test('README.md leads every reader on from its first screen', () => {
  const targets = new Set(links(first).map(({ target }) => target));
  for (const target of ['quick-start.md', 'tutorials/README.md', 'install.md', 'backup.md', 'admin.md', 'failures.md'])
    assert.ok(targets.has(`docs/${target}`), target);
  assert.ok(targets.has('#when-to-use-it-and-when-not'));
});
