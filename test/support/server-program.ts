/**
 * The files that tests start a server and the command from: a bundle of the sources as they are (build/server-bundle.ts), made once for
 * each state of them. What is bundled starts with half the CPU time, and the tests start hundreds of servers and commands.
 */
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));
/** Below node_modules, because the bundle imports packages. */
const cache = path.join(root, 'node_modules/.cache/dragonlock');
const keptMs = 2 * 3_600_000;

/** `NODE_COMPILE_CACHE` of the servers that tests start. */
export const compileCache = path.join(cache, 'compiled');

const bundle = await bundleOfSources();
/** What to hand to Node. */
export const serverProgram = path.join(bundle, 'main/server.js');
/** The command, as the package of the server has it; for tests of its shell script, see commandScript. */
export const commandProgram = path.join(bundle, 'cli/main.js');
export const salvageProgram = path.join(bundle, 'main/data-directory/salvage.js');

async function bundleOfSources(): Promise<string> {
  const bundle = path.join(cache, `server-${stateOfSources()}`);
  if (fs.existsSync(bundle)) {
    fs.utimesSync(bundle, new Date(), new Date());
    return bundle;
  }
  fs.mkdirSync(cache, { recursive: true });
  const unfinished = fs.mkdtempSync(path.join(cache, 'unfinished-'));
  // It loads what makes bundles, which most test files need not.
  const { bundleServer } = await import('../../build/server-bundle.ts');
  await bundleServer(unfinished, { commands: true });
  try {
    fs.renameSync(unfinished, bundle);
  } catch (error) {
    // Another test process was first with the same content.
    if (!fs.existsSync(bundle)) throw error;
    fs.rmSync(unfinished, { recursive: true });
  }
  removeOldBundles();
  return bundle;
}

function stateOfSources(): string {
  const hash = createHash('sha256');
  const files = fs.readdirSync(path.join(root, 'src'), { recursive: true, encoding: 'utf8' }).toSorted();
  const others = ['package.json', 'package-lock.json', 'test/support/server-program.ts'];
  for (const name of [
    ...others,
    ...fs.readdirSync(path.join(root, 'build')).map((file) => `build/${file}`),
    ...files.filter((file) => /\.(ts|js|css|html|svg)$/.test(file)).map((file) => `src/${file}`),
  ]) {
    const file = path.join(root, name);
    if (fs.existsSync(file)) hash.update(name).update(fs.readFileSync(file));
  }
  return hash.digest('hex').slice(0, 16);
}

/** A server loads its threads' files at any time, so that only those go that no test has asked for lately. */
function removeOldBundles(): void {
  for (const name of fs.readdirSync(cache)) {
    if (name === path.basename(compileCache)) continue;
    const directory = path.join(cache, name);
    const age = Date.now() - (fs.statSync(directory, { throwIfNoEntry: false })?.mtimeMs ?? 0);
    if (age > keptMs) fs.rmSync(directory, { recursive: true, force: true });
  }
}
