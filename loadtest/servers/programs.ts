import { spawnSync } from 'node:child_process';

export const wrkMissing =
  'wrk is not installed (apt-get install wrk): the built-in generator, which takes more CPU, replaces it';

export function hasWrk(): boolean {
  return spawnSync('wrk', ['--version'], { stdio: 'ignore' }).error === undefined;
}
