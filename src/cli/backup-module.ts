/** The part of the server that the commands about backups use: main/backup/backup-commands.ts, which only a checkout has. */
import { BackupCommandError, exitCodes, NegativeResult, UsageError } from './exit-codes.ts';
import type { Progress } from './progress.ts';
import { serverFile } from './server-file.ts';

export type OnProgress = (done: number, total: number, bytes: number) => void;

export async function loadModule(): Promise<BackupModule> {
  return (await import(serverFile('backup/backup-commands').href)) as BackupModule;
}

export async function attempt<T>(module: BackupModule, run: () => Promise<T>, progress?: Progress): Promise<T> {
  try {
    return await run();
  } catch (error) {
    const failure = module.backupFailureOf(error);
    if (failure === undefined) throw error;
    const { kind, message } = failure;
    if (kind === 'usage') throw new UsageError(message);
    if (kind === 'negative') throw new NegativeResult(message);
    const code = kind === 'damaged' ? exitCodes.damaged : exitCodes.unavailable;
    throw new BackupCommandError(kind, code, message);
  } finally {
    progress?.end();
  }
}

export interface StorageOptions {
  readonly url: string | undefined;
  readonly config: string | undefined;
  readonly endpoint: string | undefined;
  readonly region: string | undefined;
  readonly pathStyle: boolean;
  readonly identity: string | undefined;
}

export interface RestoreRequest extends StorageOptions {
  readonly dataDirectory: string;
  readonly at?: string;
  readonly revision?: number;
  readonly adopt: boolean;
  readonly graceMs: number;
  readonly jump?: number;
  readonly skipSequences?: number;
  readonly dryRun: boolean;
  readonly inPlace: boolean;
  readonly onNote: (note: string) => void;
  readonly onProgress: OnProgress;
}

interface Gap {
  readonly after: number;
  readonly to: number;
}

/** Its own types would put that file into the npm package. */
interface BackupModule {
  backupFailureOf: (
    error: unknown,
  ) => { readonly kind: 'usage' | 'unreachable' | 'damaged' | 'negative'; readonly message: string } | undefined;
  runBackupOfStopped: (
    options: StorageOptions & { readonly dataDirectory: string; readonly onRows: (rows: number) => void },
  ) => Promise<{ readonly place: string; readonly revision: number; readonly writer: number }>;
  listBackups: (options: StorageOptions) => Promise<{
    readonly place: string;
    readonly copies: readonly {
      readonly revision: number;
      readonly at: string;
      readonly rows: number;
      readonly bytes: number;
    }[];
    readonly ranges: readonly { readonly from: number; readonly to: number }[];
    readonly gaps: readonly Gap[];
    readonly writers: number;
    readonly bytes: number;
    readonly lastCheck: { readonly at: string; readonly what: string; readonly ok: boolean } | undefined;
    readonly problems: readonly string[];
  }>;
  runVerify: (
    options: StorageOptions & {
      readonly read: boolean;
      readonly drill: boolean;
      readonly sample?: number;
      readonly onProgress: OnProgress;
    },
  ) => Promise<{
    readonly ok: boolean;
    readonly problems: readonly string[];
    readonly gaps: readonly Gap[];
    readonly objects: number;
    readonly read: number;
    readonly drill?: { readonly revision: number; readonly copies: readonly string[]; readonly ok: boolean };
  }>;
  runRestore: (
    request: RestoreRequest,
  ) => Promise<
    | { readonly kind: 'restored'; readonly report: object; readonly lines: readonly string[] }
    | { readonly kind: 'planned'; readonly revision: number; readonly copy: string; readonly objects: number }
  >;
}
