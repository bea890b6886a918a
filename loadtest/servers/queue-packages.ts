/**
 * Queues that are packages of npm. They are no dependencies of this project: whoever wants the comparison installs them
 * (`npm install --prefix loadtest/peers`), or names another directory with `--queue-peers`.
 */
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

export const queuePackages = ['bullmq', 'graphile-worker', 'pg-boss'] as const;
export type QueuePackage = (typeof queuePackages)[number];

export const queuePeersDefault = path.resolve(import.meta.dirname, '../peers');

/** @returns its version; undefined: it is not installed there */
export function findQueuePackage(directory: string, name: QueuePackage): string | undefined {
  const file = path.join(directory, 'node_modules', name, 'package.json');
  if (!fs.existsSync(file)) return undefined;
  return (JSON.parse(fs.readFileSync(file, 'utf8')) as { readonly version: string }).version;
}

/** Its exports, whatever they are: its types are not installed with us. */
export async function loadQueuePackage(directory: string, name: QueuePackage): Promise<unknown> {
  const file = createRequire(path.join(directory, 'package.json')).resolve(name);
  return (await import(pathToFileURL(file).href)) as unknown;
}
