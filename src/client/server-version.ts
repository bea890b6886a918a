import { NotDragonLockError, ServerTooOldError } from './errors.ts';

/** The first version that has everything this client uses. */
export const oldestServer = '0.1.0';

/** @throws NotDragonLockError, ServerTooOldError */
export function requireVersion(version: unknown, url: string): void {
  if (typeof version !== 'string' || !/^\d+\.\d+\.\d+/.test(version)) {
    throw new NotDragonLockError(`The server at ${url} is not a Dragon Lock server (/version reports no version).`);
  }
  if (isOlder(version, oldestServer)) {
    throw new ServerTooOldError(
      `The server at ${url} is too old: expected version ${oldestServer} or newer, got ${version}.`,
    );
  }
}

function isOlder(version: string, than: string): boolean {
  const [a, b] = [partsOf(version), partsOf(than)];
  for (const i of [0, 1, 2]) if (a[i] !== b[i]) return a[i]! < b[i]!;
  return false;
}

function partsOf(version: string): number[] {
  return version.split(/[.+-]/, 3).map(Number);
}
