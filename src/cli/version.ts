import { findPackageJSON } from 'node:module';
import { readInput } from './files.ts';

/** The version of the package that contains this file: the checkout, or the installed npm package. */
export function version(): string {
  const file = findPackageJSON(import.meta.url);
  return file === undefined ? 'unknown' : (JSON.parse(readInput(file)) as { version: string }).version;
}
