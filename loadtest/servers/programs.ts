import { spawnSync } from 'node:child_process';

export const wrkMissing =
  'wrk is not installed (apt-get install wrk): the built-in generator, which takes more CPU, replaces it';

export function hasWrk(): boolean {
  return spawnSync('wrk', ['--version'], { stdio: 'ignore' }).error === undefined;
}

/** What goes before a command whose process has to end when this one does, even if this one is killed. */
export function diesWithUs(): readonly string[] {
  const has = spawnSync('setpriv', ['--version'], { stdio: 'ignore' }).status === 0;
  return has ? ['setpriv', '--pdeathsig', 'KILL'] : [];
}
