/** The commands about backups. */
import type { ArgumentSpec, CommandSpec, OptionSpec } from './command-spec.ts';

const loadBackups = async (): Promise<typeof import('./backups.ts')> => import('./backups.ts');

const storageOptions: readonly OptionSpec[] = [
  { long: 'config', value: 'file', about: 'config.yml of the server, whose backup: says where and how' },
  { long: 'endpoint', value: 'url', about: 'of a storage that speaks as S3 does' },
  { long: 'region', value: 'name', about: 'of S3' },
  { long: 'path-style', about: 'the bucket is in the path, not in the host' },
];
const identity: OptionSpec = { long: 'identity', value: 'file', about: 'secret keys of age, for encrypted backups' };
const repositoryUrl: ArgumentSpec = {
  name: 'url',
  optional: true,
  about: 's3://BUCKET/PREFIX or file:///DIRECTORY; default: that of --config',
};

export const backupCommands: readonly CommandSpec[] = [
  {
    name: 'backup',
    about: 'copy the whole store of a server to its backup, or let the server make backups again',
    args: [{ name: 'adopt', optional: true, names: ['adopt'], about: 'take the place of the server before this one' }],
    options: [
      { long: 'wait', about: 'until it is done' },
      { long: 'data-dir', value: 'directory', about: 'of a server that is stopped, instead of asking a running one' },
      {
        long: 'to',
        value: 'url',
        about: 'with --data-dir: s3://BUCKET/PREFIX or file:///DIRECTORY; default: that of --config',
      },
      ...storageOptions,
    ],
    load: async () => (await loadBackups()).runBackup,
  },
  {
    name: 'backups',
    about: 'list copies, what can be restored, gaps and the last check',
    args: [repositoryUrl],
    options: storageOptions,
    load: async () => (await loadBackups()).showBackups,
  },
  {
    name: 'verify',
    about: 'check a backup; exits with 65 if something is damaged or missing',
    args: [repositoryUrl],
    options: [
      ...storageOptions,
      identity,
      { long: 'read', about: 'read every object, not only lists' },
      { long: 'sample', value: 'percent', about: 'with --read: so many of the objects, at random' },
      { long: 'drill', about: 'restore twice, from the two newest copies, and compare' },
    ],
    load: async () => (await loadBackups()).verifyBackup,
  },
  {
    name: 'restore',
    about: 'make a data directory from a backup, or a safe one of an old copy of its files',
    args: [repositoryUrl],
    options: [
      { long: 'data-dir', value: 'directory', required: true, about: 'a new or empty one; with --in-place, the one' },
      {
        long: 'at',
        value: 'time',
        about: 'the state at this moment, such as 2026-11-26T08:00:00Z (default: the latest)',
      },
      { long: 'revision', value: 'n', about: 'the state at this revision' },
      { long: 'adopt', about: 'the server takes the place of the one that was backed up' },
      {
        long: 'lock-grace',
        value: 'duration',
        about: 'no lock is granted anew for so long (default 60s; 0: all clients stopped)',
      },
      { long: 'jump', value: 'n', about: 'go on so many revisions ahead of the highest known (default 1000000000)' },
      { long: 'skip-sequences', value: 'n', about: 'move all sequences ahead by so much, so that they repeat nothing' },
      { long: 'in-place', about: 'only make the directory safe, whose files were put back by hand; the URL helps' },
      { long: 'dry-run', about: 'say what would be restored, and change nothing' },
      identity,
      ...storageOptions,
    ],
    load: async () => (await loadBackups()).restoreBackup,
  },
];
