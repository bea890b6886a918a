/**
 * Clients that others' generators make of the OpenAPI document, in Python, Go and TypeScript: each sets a key, reads it
 * back and gets the typed error of a key that does not exist. The generators are no dependencies: they are installed into
 * the folder that DRAGONLOCK_GENERATORS names, outside of the repository, and found there the next time.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { startServer, temporaryDirectory } from '../docs/server-child.ts';
import { goProgram, pythonProgram, typescriptProgram } from './client-programs.ts';

const versions = {
  python: 'openapi-python-client==0.29.1',
  go: 'github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@v2.8.2',
  goRuntime: 'github.com/oapi-codegen/runtime@v1.9.0',
  typescript: ['openapi-typescript@7.13.0', 'openapi-fetch@0.17.0', 'typescript@5.9.3'],
};

const generators = process.env['DRAGONLOCK_GENERATORS'];

interface Language {
  readonly name: string;
  readonly tool: readonly [command: string, ...args: string[]];
  /** Generates a client in `work`, and runs its program. @returns what it prints */
  run(generators: string, work: string, url: string): string;
}

const languages: readonly Language[] = [
  {
    name: 'Python',
    tool: ['python3', '--version'],
    run(folder, work, url) {
      const python = path.join(folder, 'python', 'bin', 'python');
      if (!fs.existsSync(python)) {
        run(folder, 'python3', ['-m', 'venv', 'python']);
        run(folder, python, ['-m', 'pip', '-q', 'install', versions.python]);
      }
      const generate = ['generate', '--path', 'openapi.json', '--output-path', 'client', '--overwrite'];
      // Its warnings name the type text/plain, which it does not know.
      run(work, path.join(folder, 'python', 'bin', 'openapi-python-client'), generate);
      run(work, python, ['-m', 'compileall', '-q', 'client']);
      fs.writeFileSync(path.join(work, 'program.py'), pythonProgram);
      return run(work, python, ['program.py', url], { PYTHONPATH: path.join(work, 'client') });
    },
  },
  {
    name: 'Go',
    tool: ['go', 'version'],
    run(folder, work, url) {
      const bin = path.join(folder, 'go');
      const generator = path.join(bin, 'oapi-codegen');
      if (!fs.existsSync(generator)) run(folder, 'go', ['install', versions.go], { GOBIN: bin });
      fs.mkdirSync(path.join(work, 'api'));
      const flags = ['-generate', 'types,client', '-package', 'api', '-o', 'api/api.gen.go', 'openapi.json'];
      run(work, generator, flags);
      run(work, 'go', ['mod', 'init', 'example']);
      run(work, 'go', ['get', versions.goRuntime]);
      fs.writeFileSync(path.join(work, 'main.go'), goProgram);
      run(work, 'go', ['build', '-o', 'program', '.']);
      return run(work, './program', [url]);
    },
  },
  {
    name: 'TypeScript',
    tool: ['npm', '--version'],
    run(folder, work, url) {
      const modules = path.join(folder, 'typescript');
      if (!fs.existsSync(path.join(modules, 'node_modules'))) {
        fs.mkdirSync(modules, { recursive: true });
        fs.writeFileSync(path.join(modules, 'package.json'), '{"private":true,"type":"module"}');
        run(modules, 'npm', ['install', '--ignore-scripts', ...versions.typescript]);
      }
      fs.symlinkSync(path.join(modules, 'node_modules'), path.join(work, 'node_modules'));
      fs.writeFileSync(path.join(work, 'package.json'), '{"type":"module"}');
      run(work, 'node_modules/.bin/openapi-typescript', ['openapi.json', '-o', 'api.d.ts']);
      fs.writeFileSync(path.join(work, 'program.ts'), typescriptProgram);
      const flags = ['--strict', '--target', 'es2022', '--module', 'nodenext', '--skipLibCheck', 'program.ts'];
      run(work, 'node_modules/.bin/tsc', flags);
      return run(work, process.execPath, ['program.js', url]);
    },
  },
];

for (const language of languages) {
  test(`a client generated in ${language.name} sets, reads, and knows the error`, {
    skip: reason(language),
  }, async (t) => {
    const { url, work } = await prepare(t);
    fs.mkdirSync(generators!, { recursive: true });
    const printed = JSON.parse(language.run(generators!, work, url)) as Record<string, unknown>;
    assert.deepEqual(printed, { value: { theme: 'dark', ü: true }, missing: 'not_found', number: 2 });
  });
}

function reason({ tool: [command, ...args] }: Language): string | false {
  if (generators === undefined) return 'DRAGONLOCK_GENERATORS names no folder for the generators';
  return spawnSync(command, args).status === 0 ? false : `${command} is not installed`;
}

async function prepare(t: TestContext): Promise<{ url: string; work: string }> {
  const work = temporaryDirectory(t);
  const { url } = await startServer(t, path.join(temporaryDirectory(t), 'data'));
  fs.writeFileSync(path.join(work, 'openapi.json'), await (await fetch(`${url}/openapi.json`)).text());
  return { url, work };
}

function run(cwd: string, command: string, args: readonly string[], env: Record<string, string> = {}): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd,
    env: { ...process.env, ...env },
    encoding: 'utf8',
    timeout: 300_000,
  });
  assert.equal(status, 0, `${command} ${args.join(' ')}: ${error?.message ?? ''}${stdout}${stderr}`);
  return stdout;
}
