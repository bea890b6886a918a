/**
 * The backup thread as main sees it. It is the one thread that may end: main starts it again after a few seconds, and the
 * server goes on.
 */
import { Worker } from 'node:worker_threads';
import { once } from 'node:events';
import type { BackupFromMain, BackupThreadData, BackupToMain } from '../backup/backup-thread.ts';
import { BackupCells, JournalHold } from '../backup/backup-cells.ts';
import type { JournalLog } from '../journal/file/journal-options.ts';
import { startTimer } from '../shared/clock.ts';
import { workerUrls } from './worker-urls.ts';

/** The data directory must not be served: revisions that the backup has would be given out again. */
export class OlderThanBackup extends Error {
  override name = 'OlderThanBackup';
}

const restartMs = 5000;
/** A storage that does not answer must not keep a server from starting. */
const lookMsMax = 3000;

export class Backups {
  readonly #data: BackupThreadData;
  readonly #log: JournalLog;
  #worker: Worker;
  #looked = Promise.withResolvers<string | undefined>();
  #stopping = false;

  constructor(data: BackupThreadData, log: JournalLog) {
    this.#data = data;
    this.#log = log;
    this.#worker = this.#start();
  }

  /** Memory for the hold of the journal, which keeps everything until the thread knows what is in the repository. */
  static allocateHold(): SharedArrayBuffer {
    const memory = new SharedArrayBuffer(BigInt64Array.BYTES_PER_ELEMENT);
    new JournalHold(memory).set(0);
    return memory;
  }

  /** Waits until the thread has looked at the repository, for a few seconds at most. @throws OlderThanBackup */
  async look(): Promise<void> {
    const late = Promise.withResolvers<undefined>();
    const cancel = startTimer(lookMsMax, () => late.resolve(undefined));
    const refusal = await Promise.race([this.#looked.promise, late.promise]);
    cancel();
    if (refusal !== undefined) throw new OlderThanBackup(refusal);
  }

  /** Ships what is durable, for a few seconds at most. */
  async stop(): Promise<void> {
    this.#stopping = true;
    const exited = once(this.#worker, 'exit');
    this.#worker.postMessage({ kind: 'stop' } satisfies BackupFromMain);
    await exited;
  }

  #start(): Worker {
    const worker = new Worker(workerUrls.backup, { workerData: this.#data, name: 'backup' });
    worker.on('message', (message: BackupToMain) => {
      if (message.kind === 'looked') this.#looked.resolve(message.refusal);
      else this.#log(message.level, message.message, message.details);
    });
    worker.on('error', (error) => {
      this.#log('error', 'The backup thread has failed; it is started again, and the server goes on', { err: error });
    });
    worker.on('exit', () => {
      if (this.#stopping) return;
      this.#looked.resolve(undefined);
      new BackupCells(this.#data.cells).add('restarts', 1);
      startTimer(
        restartMs,
        () => {
          if (!this.#stopping) this.#worker = this.#start();
        },
        true,
      );
    });
    return worker;
  }
}
