/**
 * The backup thread as main sees it: there is one while `backup.url` is set. It is the one thread that may end: main starts
 * it again after a few seconds, and the server goes on.
 */
import { Worker } from 'node:worker_threads';
import { once } from 'node:events';
import type { BackupFromMain, BackupThreadData, BackupToMain } from '../backup/backup-thread.ts';
import { BackupCells, JournalHold } from '../backup/backup-cells.ts';
import type { BackupSettings } from '../backup/backup-settings.ts';
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
const stopMsMax = 10_000;

export class Backups {
  #data: BackupThreadData;
  readonly #log: JournalLog;
  #worker: Worker | undefined;
  #looked = Promise.withResolvers<string | undefined>();
  #stopping = false;
  #isClosed = false;
  #isRunning = false;
  /** The changes of settings, one after the other. */
  #changes = Promise.resolve();

  constructor(data: BackupThreadData, log: JournalLog) {
    this.#data = data;
    this.#log = log;
    if (this.#isOn) this.#worker = this.#start();
    else this.#looked.resolve(undefined);
  }

  /** @param isOn the journal keeps everything until the thread knows what is in the repository */
  static allocateHold(isOn: boolean): SharedArrayBuffer {
    const memory = new SharedArrayBuffer(BigInt64Array.BYTES_PER_ELEMENT);
    const hold = new JournalHold(memory);
    if (isOn) hold.set(0);
    else hold.release();
    return memory;
  }

  /** Goes on with other settings: stops, starts, or both. Resolves when that is done. */
  replace(settings: BackupSettings): Promise<void> {
    this.#changes = this.#changes.then(() => this.#replace(settings));
    return this.#changes;
  }

  async #replace(settings: BackupSettings): Promise<void> {
    if (this.#isClosed) return;
    const isOther = settings.url !== this.#data.settings.url;
    const cells = new BackupCells(this.#data.cells);
    await this.#end();
    this.#data = { ...this.#data, settings };
    // What is known of one repository says nothing about another.
    if (isOther) cells.clear();
    this.#stopping = false;
    if (this.#isOn) {
      this.#worker = this.#start();
    } else {
      cells.state = 'off';
      new JournalHold(this.#data.hold).release();
      this.#log('warn', 'No backups are made any more: backup.url is empty');
    }
  }

  get #isOn(): boolean {
    return this.#data.settings.url !== '';
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
    const changed = this.#changes;
    this.#isClosed = true;
    await changed;
    await this.#end();
  }

  async #end(): Promise<void> {
    this.#stopping = true;
    const worker = this.#worker;
    // There is none, or it has failed and was not started again yet.
    if (!this.#isRunning || worker === undefined) return;
    const exited = once(worker, 'exit');
    worker.postMessage({ kind: 'stop' } satisfies BackupFromMain);
    // A storage that does not answer must not keep a server from stopping either.
    const cancel = startTimer(stopMsMax, () => void worker.terminate());
    await exited;
    cancel();
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
    this.#isRunning = true;
    worker.on('exit', () => {
      this.#isRunning = false;
      if (this.#stopping) return;
      this.#looked.resolve(undefined);
      new BackupCells(this.#data.cells).add('restarts', 1);
      startTimer(
        restartMs,
        () => {
          if (!this.#stopping && worker === this.#worker) this.#worker = this.#start();
        },
        true,
      );
    });
    return worker;
  }
}
