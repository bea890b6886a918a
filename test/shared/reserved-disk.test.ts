/** In a process of its own, which uses up its files. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';

const file = new URL('../../src/shared/reserved-disk.ts', import.meta.url).href;
const script = `
  import fs from 'node:fs';
  import { diskWithReserve, isOutOfFiles } from '${file}';
  const [directory] = process.argv.slice(1);
  const disk = diskWithReserve(directory);
  const held = [];
  const useUp = () => { try { for (;;) held.push(fs.openSync('/dev/null')); } catch (error) { return error.code; } };
  const said = [useUp()];
  const files = [];
  try { for (;;) files.push(disk.open(directory + '/' + files.length, 'create')); }
  catch (error) { said.push(files.length, isOutOfFiles(error)); }
  disk.syncDirectory(directory);
  files.pop().close();
  await disk.writeZeros(directory + '/zeros', 100);
  useUp();
  fs.closeSync(held.pop());
  disk.open(directory + '/one', 'create').close();
  process.stdout.write(JSON.stringify(said));
`;

test('a disk with a reserve opens a few more files when the process has none left, then says so; syncing needs none', (t) => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'dragonlock-reserve-'));
  t.after(() => fs.rmSync(directory, { recursive: true }));
  const node = `ulimit -n 128; exec "$0" --input-type=module -e "$1" "$2"`;
  const { stdout, stderr } = spawnSync('bash', ['-c', node, process.execPath, script, directory], { encoding: 'utf8' });
  assert.deepEqual(JSON.parse(stdout || 'null'), ['EMFILE', 4, true], stderr);
});
