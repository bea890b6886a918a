import { spawnSync } from 'node:child_process';

export const wrkMissing =
  'wrk is not installed (apt-get install wrk): our own generator, which takes more CPU, stands in';

export function hasWrk(): boolean {
  return spawnSync('wrk', ['--version'], { stdio: 'ignore' }).error === undefined;
}
