/**
 * `GET /admin/live`: the overview as server-sent events, one a second, each with the members that have changed since the
 * one before. A viewer that does not read is passed over, so nothing piles up for it.
 */
import { failure } from '../../../protocol/errors.ts';
import { systemEvery } from '../../../shared/clock.ts';
import { adminViewersMax } from '../../../shared/limits.ts';
import type { SharedCount } from '../../../shared/shared-count.ts';
import type { HttpExchange } from '../http-exchange.ts';
import type { Overview } from './overview.ts';

const tickMs = 1000;
const unsentBytesMax = 256 * 1024;

export interface LiveOptions {
  readonly boot: string;
  readonly current: () => Promise<Overview | undefined>;
  readonly serving: () => boolean;
  /** Of all front ends. */
  readonly viewers: SharedCount;
}

interface Viewer {
  readonly exchange: HttpExchange;
  /** The texts that it has, by member. */
  readonly sent: Map<string, string>;
}

export class Live {
  readonly #options: LiveOptions;
  readonly #viewers = new Set<Viewer>();
  #stop: (() => void) | undefined;
  #ticking = false;

  constructor(options: LiveOptions) {
    this.#options = options;
  }

  follow(exchange: HttpExchange): void {
    const { viewers, boot } = this.#options;
    if (!viewers.take(adminViewersMax)) {
      const message = `${adminViewersMax} viewers follow the overview already; GET /admin/overview still answers`;
      return exchange.refuse(failure('too_many_waiters', message, { Quota: 'admin_viewers', Limit: adminViewersMax }));
    }
    const viewer: Viewer = { exchange, sent: new Map() };
    this.#viewers.add(viewer);
    exchange.res.writeHead(200, [
      'Dragonlock-Boot',
      boot,
      'Content-Type',
      'text/event-stream',
      'Cache-Control',
      'no-cache',
      'X-Accel-Buffering',
      'no',
    ]);
    exchange.res.flushHeaders();
    exchange.wait({ waits: true, cancel: () => this.#forget(viewer) });
    this.#stop ??= systemEvery(tickMs, () => void this.#tick());
    void this.#tick();
  }

  /** Ends all streams. */
  close(): void {
    for (const viewer of this.#viewers) this.#end(viewer);
  }

  async #tick(): Promise<void> {
    if (this.#ticking) return;
    if (!this.#options.serving()) return this.close();
    this.#ticking = true;
    const overview = await this.#options.current();
    this.#ticking = false;
    if (overview === undefined) return;
    const texts = Object.entries(overview).map(([name, value]) => [name, JSON.stringify(value)] as const);
    for (const viewer of this.#viewers) send(viewer, texts);
  }

  #end(viewer: Viewer): void {
    this.#forget(viewer);
    viewer.exchange.finish(200);
    viewer.exchange.res.end();
  }

  #forget(viewer: Viewer): void {
    if (!this.#viewers.delete(viewer)) return;
    this.#options.viewers.give();
    if (this.#viewers.size > 0) return;
    this.#stop?.();
    this.#stop = undefined;
  }
}

function send({ exchange, sent }: Viewer, texts: readonly (readonly [string, string])[]): void {
  if (exchange.res.writableLength > unsentBytesMax) return;
  const changed = texts.filter(([name, text]) => sent.get(name) !== text);
  if (changed.length === 0) return;
  for (const [name, text] of changed) sent.set(name, text);
  const members = changed.map(([name, text]) => `${JSON.stringify(name)}:${text}`);
  exchange.res.write(`data: {${members.join(',')}}\n\n`);
}
