/**
 * The oldest Node that the client runs on. This file and the two that use it first are loaded by older ones too, so that
 * those can say it: no newer syntax here, and no import.
 */
export const oldestNode = '22.19';

/** @returns one line for the user of an older Node; undefined if this one is new enough */
export function oldNodeMessage(version: string): string | undefined {
  const [major, minor] = parts(version);
  const [leastMajor, leastMinor] = parts(oldestNode);
  if (major > leastMajor || (major === leastMajor && minor >= leastMinor)) return undefined;
  return `dragonlock: expected Node ${oldestNode} or newer, got ${version}`;
}

function parts(version: string): [number, number] {
  const [major, minor] = version.split('.');
  return [Number(major), Number(minor)];
}
