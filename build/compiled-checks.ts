/**
 * What takes the place of src/front-end/schema-checks.ts in the bundle: a file for each schema, with the function that Ajv
 * makes of it. A thread loads it when it first needs it. So a server neither loads Ajv nor compiles a schema.
 */
import { createHash } from 'node:crypto';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Ajv } from 'ajv';
import { build, type Plugin } from 'esbuild';
import { checkOptions, registered, type RegisteredSchema } from '../src/front-end/schema-checks.ts';
// They register their schemas.
import '../src/front-end/http/parse/body-kinds.ts';
import '../src/main/config/config-file.ts';

const { default: standaloneCode } = (await import('ajv/dist/standalone/index.js')).default;
const root = fileURLToPath(new URL('..', import.meta.url));
const replaced = path.join(root, 'src/front-end/schema-checks.ts');

/** In package.json: where `lookup` finds them. */
export const checkImports = { '#checks/*': './checks/*.cjs' } as const;

/** See `checkFile`. */
const lookup = `
import { createHash } from 'node:crypto';
const load = createRequire(import.meta.url);
export function checkOf(schema, telling) {
  let check;
  return () => (check ??= load('#checks/' + createHash('sha1').update(telling + JSON.stringify(schema)).digest('hex')));
}
`;

export const compiledChecks: Plugin = {
  name: 'compiled-checks',
  setup(bundler) {
    bundler.onLoad({ filter: /schema-checks\.ts$/ }, ({ path: file }) =>
      file === replaced ? { contents: lookup, loader: 'js', resolveDir: root } : undefined,
    );
  },
};

/** Writes one file for each schema into `checks` of this directory. */
export async function writeChecks(directory: string): Promise<void> {
  await Promise.all(
    registered.map((one) =>
      build({
        stdin: { contents: sourceOf(one), resolveDir: root },
        outfile: path.join(directory, checkFile(one)),
        bundle: true,
        format: 'cjs',
        platform: 'node',
        target: 'node22.19',
        minifyWhitespace: true,
        logLevel: 'warning',
      }),
    ),
  );
}

/** Within the bundle. A schema has its name from what it is. */
export function checkFile({ schema, telling }: RegisteredSchema): string {
  const name = createHash('sha1')
    .update(telling + JSON.stringify(schema))
    .digest('hex');
  return `checks/${name}.cjs`;
}

function sourceOf({ schema, telling }: RegisteredSchema): string {
  const ajv = new Ajv({ ...checkOptions(telling), code: { source: true } });
  return standaloneCode(ajv, ajv.compile(schema));
}
