/** The documents of the two packages: what they link to is in the package, under the name that the link has. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { clientDocuments, copyDocuments, serverDocuments } from '../../build/package-docs.ts';
import { deadLinks, links } from './markdown.ts';
import { temporaryDirectory } from './server-child.ts';

for (const [name, documents] of Object.entries({ dragonlock: clientDocuments, 'dragonlock-server': serverDocuments })) {
  test(`${name}: every link works in the packed package`, (t) => {
    const directory = temporaryDirectory(t);
    const made = path.join(directory, 'made');
    fs.mkdirSync(made);
    fs.writeFileSync(path.join(made, 'package.json'), JSON.stringify({ name, version: '0.0.0' }));
    copyDocuments(documents, made);
    const packed = spawnSync('npm', ['pack', made, '--silent'], { cwd: directory, encoding: 'utf8' });
    assert.equal(packed.status, 0, packed.stderr);
    const unpacked = spawnSync('tar', ['xzf', packed.stdout.trim()], { cwd: directory, encoding: 'utf8' });
    assert.equal(unpacked.status, 0, unpacked.stderr);
    const inside = path.join(directory, 'package');
    assert.deepEqual(deadLinks(inside), []);
    const ofReadme = links(fs.readFileSync(path.join(inside, 'README.md'), 'utf8'));
    assert.ok(ofReadme.filter(({ target }) => target.startsWith('docs/')).length >= 5, 'its first page leads on');
  });
}

test('a link to what is not there, or to no heading, is found', (t) => {
  const directory = temporaryDirectory(t);
  fs.writeFileSync(
    path.join(directory, 'a.md'),
    '# A\n[x](b.md) [y](#a) [z](#b) [w](../a.md) [v](https://example.org)\n',
  );
  assert.deepEqual(deadLinks(directory), ['a.md:2: b.md', 'a.md:2: #b', 'a.md:2: ../a.md']);
});
