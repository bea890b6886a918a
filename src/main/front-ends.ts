/**
 * All front ends of the server. The first runs in the main thread, each further one in a thread of its own. All of them
 * listen before the first answers anything: the kernel assigns a connection to a front end once, when it is opened, and
 * clients that have waited for a restart connect at once.
 */
import type { ServerActions } from '../front-end/server-actions.ts';
import type { AuditOperation } from '../protocol/operations/audit.ts';
import { restoredToOf, type RestoredState } from '../protocol/restored.ts';
import { SharedCount } from '../shared/shared-count.ts';
import type { JournalStats } from '../protocol/stats.ts';
import { unreachable } from '../shared/assert.ts';
import { WorkerLink } from '../shared/worker-link.ts';
import type { LiveSettings } from '../front-end/live-settings.ts';
import { shareOf, type Listen } from '../front-end/listen.ts';
import { FrontEnd, type FrontEndOptions } from '../front-end/front-end.ts';
import type {
  FrontEndFromMain,
  FrontEndStep,
  FrontEndThreadData,
  FrontEndToMain,
  ListenStep,
} from '../front-end/front-end-thread.ts';
import { withExclusivePort } from './exclusive-port.ts';
import { ScriptThreads, type ScriptConnection } from '../scripts/threads/script-threads.ts';
import { systemAfter } from '../shared/clock.ts';
import type { Threads } from './threads.ts';
import { workerUrls } from './worker-urls.ts';

export type FrontEndsOptions = Omit<FrontEndOptions, 'index' | 'bodyThread' | 'scriptThread' | 'scripts' | 'pageFiles'>;

interface ListeningAt {
  readonly urls: readonly string[];
  readonly respPort: number | undefined;
}

export class FrontEnds {
  readonly #options: FrontEndsOptions;
  readonly #first: FrontEnd;
  readonly #further: readonly FurtherFrontEnd[];
  readonly #scriptThreads: ScriptThreads | undefined;
  #journalStats: () => Promise<JournalStats> = () => Promise.reject(new Error('not serving yet'));

  constructor(options: FrontEndsOptions, onFatal: (error: unknown) => void) {
    this.#options = options;
    const files = {
      bodyThread: workerUrls.bodies.href,
      scriptThread: workerUrls.scripts.href,
      pageFiles: new URL('../ui/', import.meta.url).href,
    };
    const { threads } = options.config.scripts;
    const scriptUrl = workerUrls.scriptPool;
    this.#scriptThreads =
      threads === 0 ? undefined : new ScriptThreads({ url: scriptUrl, threads, after: systemAfter });
    const { log, writeLines, ...rest } = options;
    const data = { ...rest, ...files };
    this.#further = Array.from(
      { length: options.config.http.threads - 1 },
      (_, i) =>
        new FurtherFrontEnd(
          { ...data, scripts: this.connectScripts(), index: i + 1 },
          { log, writeLines },
          () => this.#journalStats(),
          onFatal,
        ),
    );
    this.#first = new FrontEnd({ ...options, ...files, scripts: this.connectScripts(), index: 0 });
  }

  /** @returns what a further thread needs to have scripts run; undefined: none are run */
  connectScripts(): ScriptConnection | undefined {
    return this.#scriptThreads?.connect();
  }

  /**
   * Listens on the addresses, and answers 503 there until it serves.
   * @returns where: URLs, and the port for Redis clients. @throws EADDRINUSE and its like
   */
  async listen(): Promise<ListeningAt> {
    await Promise.all([this.#first.ready(), ...this.#further.map((one) => one.step('ready'))]);
    return this.#listenAt(({ kind }) => kind !== 'fd', 'listening');
  }

  /** Listens on sockets that systemd has opened: only once it serves, since clients wait in their queues. */
  open(): Promise<ListeningAt> {
    return this.#listenAt(({ kind }) => kind === 'fd', 'open');
  }

  async #listenAt(isMeant: (where: Listen) => boolean, step: ListenStep): Promise<ListeningAt> {
    const { config } = this.#options;
    const urls: string[] = [];
    const http: Listen[] = [];
    for (const where of config.listen.filter(isMeant)) {
      const share = this.#share(where, 0);
      const at = share && (await this.#listenFirst(share, () => this.#first.listen(share)));
      if (at !== undefined) urls.push(at.url);
      http.push(withPort(where, at?.port ?? 0));
    }
    const resp = config.resp.listen && isMeant(config.resp.listen) ? config.resp.listen : undefined;
    const respAt = resp && this.#share(resp, 0);
    const respPort = respAt && (await this.#listenFirst(respAt, () => this.#first.listenForRedis(respAt)));
    await Promise.all(
      this.#further.map((one, i) => {
        const share = (where: Listen): Listen | undefined => this.#share(where, i + 1);
        const shares = http.flatMap((at) => share(at) ?? []);
        return one.request(
          { kind: 'listen', http: shares, resp: resp && share(withPort(resp, respPort ?? 0)), step },
          step,
        );
      }),
    );
    return { urls, respPort };
  }

  #share(where: Listen, index: number): Listen | undefined {
    return shareOf(where, index, this.#options.config.http.threads);
  }

  /** Several front ends share a port, which no other process may have. */
  #listenFirst<T>(where: Listen, listen: () => Promise<T>): Promise<T> {
    const { config, log } = this.#options;
    if (config.http.threads === 1 || where.kind !== 'tcp') return listen();
    return withExclusivePort(where, listen, { onWait: (message) => log.warn({}, message) });
  }

  async serve(threads: Threads, journalDirectory: string, restored: RestoredState | undefined): Promise<void> {
    const { revisions } = threads;
    const restoredTo = restoredToOf(restored);
    const backends = threads.frontEnds.map((ports) => ({ ports, revisions, journalDirectory, restoredTo }));
    this.#journalStats = () => threads.journalStats();
    this.#first.serve({ ...backends[0]!, journalStats: this.#journalStats });
    await Promise.all(
      this.#further.map((one, i) => one.request({ kind: 'serve', backend: backends[i + 1]! }, 'serving')),
    );
  }

  /** Resolves when every front end in a thread of its own has answered. */
  ping(): Promise<unknown> {
    return Promise.all(this.#further.map((one) => one.ping()));
  }

  /** Every front end takes over other settings, the first one now. */
  reload(settings: LiveSettings): void {
    this.#first.reload(settings);
    for (const one of this.#further) one.send({ kind: 'reload', settings });
  }

  /** A reload, a drain and the like come to the first front end, whichever they are sent to. */
  takeActions(actions: ServerActions): void {
    this.#first.takeActions(actions);
  }

  audit(entry: AuditOperation): void {
    this.#first.audit(entry);
  }

  /**
   * Refuses new requests and answers every waiting client, lets shards commit and checkpoint, waits for the replies.
   */
  async close(): Promise<void> {
    const first = this.#first.finishConnections().then(() => this.#first.drain());
    await Promise.all([first, ...this.#further.map((one) => one.request({ kind: 'drain' }, 'drained'))]);
    await this.#first.closeShards();
    await Promise.all([this.#first.close(), ...this.#further.map((one) => one.close())]);
    await this.#scriptThreads?.close();
  }
}

/** The main thread's end of a front end in a thread of its own. */
class FurtherFrontEnd {
  readonly #link: WorkerLink<FrontEndFromMain, FrontEndToMain>;
  readonly #steps: Readonly<Record<FrontEndStep, Promise<unknown>>>;

  constructor(
    data: FrontEndThreadData,
    { log, writeLines }: Pick<FrontEndOptions, 'log' | 'writeLines'>,
    journalStats: () => Promise<JournalStats>,
    onFatal: (error: unknown) => void,
  ) {
    const logBytes = new SharedCount(data.counters.logBytes, 0);
    const link = new WorkerLink<FrontEndFromMain, FrontEndToMain>({
      url: workerUrls.frontEnd,
      name: `front-end-${data.index}`,
      workerData: data,
      ports: data.scripts === undefined ? [] : [data.scripts.port],
      onFatal,
      onMessage: (message) => {
        switch (message.kind) {
          case 'log':
            return log[message.level](message.details, message.message);
          case 'lines':
            writeLines(message.text, message.lines);
            return logBytes.giveBytes(message.text.length);
          case 'journal-stats':
            return void journalStats().then((stats) => link.send({ kind: 'journal-stats', id: message.id, stats }));
          case 'pong':
          case 'ready':
          case 'listening':
          case 'open':
          case 'serving':
          case 'drained':
            return;
          default:
            return unreachable(message);
        }
      },
    });
    this.#link = link;
    this.#steps = {
      ready: link.step('ready'),
      listening: link.step('listening'),
      open: link.step('open'),
      serving: link.step('serving'),
      drained: link.step('drained'),
    };
  }

  send(message: FrontEndFromMain): void {
    this.#link.send(message);
  }

  ping(): Promise<unknown> {
    return this.#link.ask('ping');
  }

  async step(step: FrontEndStep): Promise<void> {
    await this.#steps[step];
  }

  /** Sends a message. Resolves when the thread has reported the step; a failure takes the process down. */
  request(message: FrontEndFromMain, step: FrontEndStep): Promise<void> {
    const { shards, journal } = message.kind === 'serve' ? message.backend.ports : noPorts;
    this.#link.send(message, [...shards, ...(journal === undefined ? [] : [journal])]);
    return this.step(step);
  }

  close(): Promise<void> {
    return this.#link.stop({ kind: 'close' });
  }
}

const noPorts = { shards: [], journal: undefined };

/** With port 0, all of them use the port that the first one got. */
function withPort(where: Listen, port: number): Listen {
  return where.kind === 'tcp' ? { ...where, port } : where;
}
